/** A lab guest as QEMU's command line. Pure: options in, words out. Source and destination get the same machine. */
import { join } from 'node:path'

import type { GuestImage } from './image.ts'

/** This system's own QEMU. */
export const QEMU = 'qemu-system-x86_64'

/**
 * Pinned: an alias such as `pc` is another machine in every QEMU version, and a migration needs the same one at both
 * ends. It is the oldest that all supported QEMU versions have.
 */
const MACHINE = 'pc-i440fx-7.2'
/** Available with TCG and every host's KVM; with RDRAND the guest's kernel does not wait for entropy. */
const CPU = 'qemu64,+rdrand'

const HEARTBEAT_MS = 10

/**
 * KiB that an emulated guest has less than its round size. Under TCG, QEMU before 9.0 does not mark pages as clean
 * again if the memory is a multiple of 256 KiB: writes of a migrating guest are lost, with or without Pagemesh,
 * sometimes in more than a thousand pages (fixed by QEMU's commit 03bfc2188f). KVM does not have this fault.
 */
const TCG_KIB_LESS = 8

export type Accelerator = 'kvm' | 'tcg'

/**
 * The guest's work after boot; image/guest/work has a program for each. `dirty:N` writes N MiB over and over.
 * - idle: nginx and redis, nothing to do
 * - web: nginx serves the system's documentation to a local client
 * - database: redis with tens of MB of records under light traffic
 * - compile: gcc and make, over and over
 * - dirty: rewrites memory faster than a link carries it
 * - rewrite: rewrites text, 20 MiB a second
 * - random: most of the memory holds random bytes
 * - errand: runs the program `run` of a second disk; steady once that has ended
 */
export type Work =
  'idle' | 'web' | 'database' | 'compile' | 'dirty' | 'rewrite' | 'random' | 'errand' | `dirty:${number}`

/** What backs the guest's memory: private memory, or a shared file (`memfd`: one without a name). */
export type MemoryBackend = 'anonymous' | 'memfd' | 'file'

export interface MachineOptions {
  name: string
  /** An emulated guest has 8 KiB less. */
  memoryMiB: number
  work: Work | 'probe'
  /** For sockets, the serial log, and the memory file of backend `file`. */
  directory: string
  /** Absent: no system at all. The firmware finds none, and waits. */
  image?: GuestImage
  accelerator: Accelerator
  /** Waits for a migration (`-incoming defer`). */
  incoming: boolean
  /** Does not run until told to (`-S`), even after a migration by QEMU alone; agents ignore it. */
  paused: boolean
  backend: MemoryBackend
  /** A beat every 10 ms on the second serial port, with the work count; default false. */
  heartbeat?: boolean
  /** Default pc-i440fx-7.2. */
  machine?: string
  /** Further arguments for QEMU, after ours: disks, devices, sockets. */
  further?: readonly string[]
}

/** Paths of a guest's sockets and files. */
export interface MachinePaths {
  /** The agent's QMP socket; tests have another, since QMP serves one client at a time. */
  qmp: string
  testQmp: string
  serial: string
  /** Socket of the fine heartbeat, written to whoever is connected. */
  heartbeat: string
  memory: string
}

export function machinePaths(directory: string, name: string): MachinePaths {
  return {
    qmp: join(directory, `${name}.qmp`),
    testQmp: join(directory, `${name}.qmp-test`),
    serial: join(directory, `${name}.serial.log`),
    heartbeat: join(directory, `${name}.beat`),
    memory: join(directory, `${name}.ram`),
  }
}

export function machineArguments(options: MachineOptions): string[] {
  const paths = machinePaths(options.directory, options.name)
  const heartbeat = heartbeatArguments(options, paths.heartbeat)
  return [
    '-name', options.name,
    ...memoryArguments(options, paths.memory),
    '-accel', options.accelerator, '-cpu', CPU, '-smp', '1',
    '-no-user-config', '-nodefaults', '-display', 'none', '-nic', 'none', '-no-reboot',
    ...systemArguments(options, heartbeat.word),
    '-serial', `file:${paths.serial}`, ...heartbeat.port,
    '-qmp', `unix:${paths.qmp},server=on,wait=off`,
    '-qmp', `unix:${paths.testQmp},server=on,wait=off`,
    ...(options.incoming ? ['-incoming', 'defer'] : []),
    ...(options.paused ? ['-S'] : []),
    ...options.further ?? [],
  ]
}

function systemArguments({ image, work }: MachineOptions, further: string): string[] {
  if (image === undefined) return []
  return [
    '-kernel', image.kernel, '-initrd', image.initramfs,
    // On a busy machine an emulated timer is late, and a kernel that checks it panics at boot.
    '-append', `console=ttyS0 panic=-1 no_timer_check pagemesh.work=${work}${further}`,
    // Without locking, source and destination can both open the one disk.
    '-drive', `if=none,id=disk,file=${image.disk},format=raw,read-only=on,file.locking=off`,
    '-device', 'virtio-blk-pci,drive=disk',
  ]
}

/** The guest init's argument, and the serial port for it. */
function heartbeatArguments({ heartbeat }: MachineOptions, path: string): { word: string; port: string[] } {
  if (heartbeat !== true) return { word: '', port: [] }
  return { word: ` pagemesh.heartbeat=${HEARTBEAT_MS}`, port: ['-serial', `unix:${path},server=on,wait=off`] }
}

function memoryArguments(options: MachineOptions, memoryPath: string): string[] {
  const { memoryMiB, backend, accelerator, machine = MACHINE } = options
  const kib = memoryMiB * 1024 - (accelerator === 'tcg' ? TCG_KIB_LESS : 0)
  const size = ['-m', `${kib}K`]
  if (backend === 'anonymous') return ['-machine', machine, ...size]
  const kind = backend === 'memfd' ? 'memory-backend-memfd' : `memory-backend-file,mem-path=${memoryPath}`
  // Named like the block of an anonymous guest, so that guests with different backends can migrate to each other.
  return [
    '-machine', `${machine},memory-backend=pc.ram`, ...size,
    '-object', `${kind},id=pc.ram,size=${kib}K,share=on`,
  ]
}
