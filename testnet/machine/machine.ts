/** A lab guest as QEMU's command line. Pure: options in, words out. Source and destination get the same machine. */
import { join } from 'node:path'

import type { GuestImage } from './image.ts'

/** This system's own. */
export const QEMU = 'qemu-system-x86_64'

/**
 * Pinned: an alias such as `pc` means another machine in every QEMU version, and a migration needs the same one at
 * both ends. The oldest that all QEMU versions of qemu-stream's range have.
 */
const MACHINE = 'pc-i440fx-7.2'
/** What TCG and every host's KVM can give; with RDRAND the guest's kernel need not wait for entropy. */
const CPU = 'qemu64,+rdrand'

const HEARTBEAT_MS = 10

/**
 * What an emulated guest has less than its round size. Before 9.0 QEMU forgets to tell its emulator which pages count
 * as clean again, but only of memory that is a multiple of 256 KiB: what the guest writes there meanwhile is lost in a
 * migration, whoever carries it, at times more than a thousand pages (fixed by QEMU's commit 03bfc2188f). With KVM
 * there is no such thing.
 */
const TCG_KIB_LESS = 8

export type Accelerator = 'kvm' | 'tcg'

/**
 * What a guest does once booted; image/guest/work has a program for each. `dirty:N` writes N MiB over and over.
 * - idle: nginx and redis, nothing to do
 * - web: nginx serves the system's documentation to a local client
 * - database: redis with tens of MB of records under light traffic
 * - compile: gcc and make, over and over
 * - dirty: rewrites memory faster than a link carries it
 * - rewrite: rewrites text, 20 MiB a second
 * - random: most of the memory holds random bytes
 */
export type Work = 'idle' | 'web' | 'database' | 'compile' | 'dirty' | 'rewrite' | 'random' | `dirty:${number}`

/** What backs the guest's memory: private, or shared with a file (`memfd`: one without a name). */
export type MemoryBackend = 'anonymous' | 'memfd' | 'file'

export interface MachineOptions {
  name: string
  /** An emulated guest has 8 KiB less. */
  memoryMiB: number
  work: Work | 'probe'
  /** For sockets, the serial log, and the memory file of backend `file`. */
  directory: string
  image: GuestImage
  accelerator: Accelerator
  /** Waits for a migration (`-incoming defer`). */
  incoming: boolean
  /** Does not run until told to (`-S`), even after a migration by QEMU alone; an agent does not heed it. */
  paused: boolean
  backend: MemoryBackend
  /** A beat every 10 ms on the second serial port, with how much work was done; default false. */
  heartbeat?: boolean
  /** Default pc-i440fx-7.2. */
  machine?: string
  /** Further words for QEMU, after ours: disks, devices, sockets. */
  further?: readonly string[]
}

/** Where a guest's sockets and files are. */
export interface MachinePaths {
  /** QMP for the agent: QMP serves one client at a time, so the tests have one of their own. */
  qmp: string
  testQmp: string
  serial: string
  /** What the fine heartbeat says goes to whoever is connected. */
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
    '-kernel', options.image.kernel, '-initrd', options.image.initramfs,
    // An emulated timer is late on a busy machine, and a kernel that checks it then panics as it boots.
    '-append', `console=ttyS0 panic=-1 no_timer_check pagemesh.work=${options.work}${heartbeat.word}`,
    // Without the lock, source and destination can both hold the one disk open.
    '-drive', `if=none,id=disk,file=${options.image.disk},format=raw,read-only=on,file.locking=off`,
    '-device', 'virtio-blk-pci,drive=disk',
    '-serial', `file:${paths.serial}`, ...heartbeat.port,
    '-qmp', `unix:${paths.qmp},server=on,wait=off`,
    '-qmp', `unix:${paths.testQmp},server=on,wait=off`,
    ...(options.incoming ? ['-incoming', 'defer'] : []),
    ...(options.paused ? ['-S'] : []),
    ...options.further ?? [],
  ]
}

/** The word for the guest's init, and the port that it then writes to. */
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
  // Named like the block of an anonymous guest, so that guests of different backends can migrate to each other.
  return [
    '-machine', `${machine},memory-backend=pc.ram`, ...size,
    '-object', `${kind},id=pc.ram,size=${kib}K,share=on`,
  ]
}
