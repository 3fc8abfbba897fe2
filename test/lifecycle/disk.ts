import { join } from 'node:path'

import { systemClock } from '../../src/runtime/clock.ts'
import { ensureQemu, startProcess, waitFor, type LabProcess } from '../../testnet/index.ts'
import { OtherClient } from '../support/otherclient.ts'

const DISK_BYTES = 16 * 2 ** 20
const JOB_TIMEOUT_MS = 20_000

/** Makes an empty qcow2 disk with QEMU itself: the lab needs nothing else from `qemu-img`'s package. */
export async function makeDisk(directory: string, name: string): Promise<string> {
  const path = join(directory, `${name}.qcow2`)
  const socket = join(directory, `${name}.maker`)
  const qemu = startProcess([], [
    await ensureQemu('system'), '-machine', 'none', '-nodefaults', '-display', 'none',
    '-qmp', `unix:${socket},server=on,wait=off`,
  ])
  const client = await OtherClient.connect(socket)
  try {
    await runJob(client, 'blockdev-create', { options: { driver: 'file', filename: path, size: 0 } })
    await client.execute('blockdev-add', { 'driver': 'file', 'node-name': 'file', 'filename': path })
    await runJob(client, 'blockdev-create', { options: { driver: 'qcow2', file: 'file', size: DISK_BYTES } })
    return path
  } finally {
    client.close()
    await qemu.kill()
  }
}

async function runJob(client: OtherClient, command: string, args: Record<string, unknown>): Promise<void> {
  await client.execute(command, { 'job-id': 'make', ...args })
  await waitFor(async () => {
    const [job] = await client.execute('query-jobs') as { status: string; error?: string }[]
    if (job?.error !== undefined) throw new Error(`${command}: ${job.error}`)
    return job?.status === 'concluded' ? true : undefined
  }, { clock: systemClock, what: `${command} to end`, timeoutMs: JOB_TIMEOUT_MS, pauseMs: 10 })
  await client.execute('job-dismiss', { id: 'make' })
}

/** Another process that uses a disk: a QEMU with the disk that does not run. */
export class DiskLocker {
  readonly #qemu: LabProcess
  readonly #client: OtherClient

  static async start(directory: string): Promise<DiskLocker> {
    const socket = join(directory, 'locker')
    const qemu = startProcess([], [
      await ensureQemu('system'), '-accel', 'tcg', '-m', '16', '-nodefaults', '-display', 'none', '-S',
      '-qmp', `unix:${socket},server=on,wait=off`,
    ])
    return new DiskLocker(qemu, await OtherClient.connect(socket))
  }

  private constructor(qemu: LabProcess, client: OtherClient) {
    this.#qemu = qemu
    this.#client = client
  }

  async lock(path: string): Promise<void> {
    await this.#client.execute('blockdev-add', {
      'driver': 'qcow2', 'node-name': 'taken', 'file': { driver: 'file', filename: path },
    })
    await this.#client.execute('device_add', { driver: 'virtio-blk-pci', drive: 'taken' })
  }

  async stop(): Promise<void> {
    this.#client.close()
    await this.#qemu.kill()
  }
}
