import { spawnSync } from 'node:child_process'
import { chmodSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'

import { connectQmp, type QmpClient } from '../../src/guest/index.ts'
import { systemClock } from '../../src/runtime/clock.ts'
import { silentLog } from '../../src/runtime/log.ts'
import { ensureImage, startProcess, waitFor, type LabProcess, type MemoryBackend } from '../../testnet/index.ts'
import { machineArguments, machinePaths, QEMU } from '../../testnet/machine/machine.ts'
import { SerialLog } from '../../testnet/machine/serial.ts'

export interface CountingGuestOptions {
  name: string
  directory: string
  memoryMiB: number
  /** Random bytes that fill part of the guest's memory before it begins to count, MiB. */
  filledMiB: number
  backend: MemoryBackend
}

/** The lab's kernel with a shell that counts: it boots in seconds, and does the same work in each beat. */
export interface CountingGuest {
  readonly pid: number
  /** Pieces of work done so far. */
  beats(): number
  command(command: string): Promise<unknown>
  stop(): Promise<void>
}

/** The guest's init. A beat is some tens of milliseconds of work under TCG. */
const INIT = `#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t devtmpfs dev /dev
mkdir /filled
mount -t tmpfs -o size=90% tmpfs /filled
dd if=/dev/urandom of=/filled/random bs=1M count=FILLED_MIB 2>/dev/null
echo 'pagemesh: ready' >/dev/console
beat=0
while :; do
  count=0
  while [ $count -lt 1000 ]; do count=$((count + 1)); done
  beat=$((beat + 1))
  echo "pagemesh: beat $beat" >/dev/console
done
`

const READY_MS = 120_000

/** Starts the guest under TCG; resolves when it counts. */
export async function startCountingGuest(options: CountingGuestOptions): Promise<CountingGuest> {
  const { name, directory, memoryMiB, backend } = options
  const image = await ensureImage()
  const initramfs = join(directory, `${name}.img`)
  writeFileSync(initramfs, Buffer.concat([readFileSync(image.initramfs), archiveOfInit(options)]))
  const paths = machinePaths(directory, name)
  writeFileSync(paths.serial, '')
  const guest = startProcess([], [QEMU, ...machineArguments({
    name, directory, memoryMiB, backend, image: { ...image, initramfs }, work: 'idle', accelerator: 'tcg',
    incoming: false, paused: false,
  })])
  const serial = new SerialLog(paths.serial)
  try {
    await waitFor(() => {
      if (!guest.running) throw new Error(`QEMU ended: ${guest.errors}`)
      return serial.ready && serial.beats > 0 ? true : undefined
    }, { clock: systemClock, what: `guest ${name} to count`, timeoutMs: READY_MS, pauseMs: 100 })
    return counting(guest, serial, await connectQmp(paths.testQmp, { clock: systemClock, log: silentLog }))
  } catch (error) {
    await guest.kill()
    throw error
  }
}

function counting(guest: LabProcess, serial: SerialLog, qmp: QmpClient): CountingGuest {
  return {
    pid: guest.pid,
    beats: () => serial.beats,
    command: (command) => qmp.execute(command),
    async stop() {
      await qmp.close()
      await guest.kill()
    },
  }
}

/** An archive with our init: the kernel unpacks it over the first archive. */
function archiveOfInit({ directory, filledMiB }: CountingGuestOptions): Buffer {
  const path = join(directory, 'init')
  writeFileSync(path, INIT.replace('FILLED_MIB', String(filledMiB)))
  chmodSync(path, 0o755)
  const { status, stdout, stderr } = spawnSync('cpio', ['--create', '--format=newc', '--quiet'], {
    cwd: directory, input: 'init\n',
  })
  if (status !== 0) throw new Error(`cpio failed: ${String(stderr)}`)
  // Compressed, because a plain archive would have to begin at a multiple of four bytes.
  return gzipSync(stdout)
}
