/** Migrations by QMP alone, from a QEMU to an ordinary TCP address of another host: nobody was told of Pagemesh. */
import assert from 'node:assert/strict'

import { systemClock } from '../../src/runtime/clock.ts'
import {
  compareMemory, createCluster, ensureImage, waitFor, type LabCluster, type LabGuest, type QemuRelease,
} from '../../testnet/index.ts'
import { skipWithoutLab } from '../interop/labmove.ts'

const SETUP_TIMEOUT_MS = 600_000
const TEST_TIMEOUT_MS = 240_000
const STATUS_TIMEOUT_MS = 60_000
const SMALL = { system: 'busybox', work: 'idle', memoryMiB: 96 } as const
const RELEASES: readonly QemuRelease[] = ['system', 'next']
const PORT = 49_152

interface Relayed {
  driver: string
  status: string
  direction: string
  channels: number
  qemuBytes: number
  wireBytes: number
  pages: { ref: number }
}

for (const release of RELEASES) describe(`a migration that is intercepted (${release} QEMU)`, function () {
  this.timeout(TEST_TIMEOUT_MS)
  let cluster: LabCluster
  let count = 0
  const guests: LabGuest[] = []

  before(async function () {
    await skipWithoutLab.call(this)
    this.timeout(SETUP_TIMEOUT_MS)
    await ensureImage()
    cluster = await createCluster({
      hosts: ['a', 'b'],
      settings: {
        census: { intervalSeconds: 5 }, store: { maxBytes: 0 },
        intercept: { ports: ['49152-49215', '60000-60050'] },
      },
    })
    await (await cluster.startGuest('b', { ...SMALL, name: 'twin', qemu: release })).ready()
    await cluster.settled()
    await until('b is intercepted', async () => (await intercepted()).members.includes('b'))
  })

  afterEach(async () => {
    for (const guest of guests.splice(0)) await guest.stop()
  })

  after(async () => cluster?.close())

  async function intercepted(): Promise<Awaited<ReturnType<ReturnType<LabCluster['agent']>['status']>>['intercept']> {
    return (await cluster.agent('a').status()).intercept
  }

  async function until(what: string, isSo: () => Promise<boolean>): Promise<void> {
    await waitFor(async () => (await isSo()) || undefined, {
      clock: systemClock, what, timeoutMs: STATUS_TIMEOUT_MS, pauseMs: 100,
    })
  }

  async function untilCompleted({ name, qmp }: LabGuest): Promise<void> {
    await until(`${name} to complete`, async () => {
      const { status } = await qmp.execute('query-migrate') as { status?: string }
      assert.notEqual(status, 'failed')
      return status === 'completed'
    })
  }

  /** Migrates a guest that the agents know, compares, and lets the source end, as managers do. */
  async function migrate(
    { capabilities = [], parameters = {}, isKnown = true }:
    { capabilities?: string[]; parameters?: Record<string, unknown>; isKnown?: boolean },
  ): Promise<void> {
    const name = `web${++count}`
    const port = PORT + count
    const source = await cluster.startGuest('a', { ...SMALL, name, qemu: release })
    guests.push(source)
    await source.ready()
    if (isKnown) await cluster.settled()
    const destination = await cluster.startGuest('b', { ...SMALL, name, qemu: release, incoming: true, paused: true })
    guests.push(destination)
    for (const { qmp } of [source, destination]) {
      await qmp.execute('migrate-set-capabilities', {
        capabilities: ['return-path', ...capabilities].map((capability) => ({ capability, state: true })),
      })
      await qmp.execute('migrate-set-parameters', parameters)
    }
    await destination.qmp.execute('migrate-incoming', { uri: `tcp:[::]:${port}` })
    await source.qmp.execute('migrate', { uri: `tcp:${destination.host!.address}:${port}` })
    await untilCompleted(source)
    await untilCompleted(destination)
    assert.deepEqual((await compareMemory(source, destination)).differences, [])
    await source.stop()
    await destination.qmp.execute('cont')
    await destination.moreBeats(1)
  }

  async function lastOutgoing(): Promise<Relayed> {
    let record: Relayed | undefined
    await until('the record', async () => {
      const { output } = await cluster.agent('a').command('history', '--json')
      record = (JSON.parse(output) as { handoffs: Relayed[] }).handoffs[0]
      return record !== undefined
    })
    return record!
  }

  it('passes as references, its memory the same', async () => {
    await migrate({})
    const { driver, status, direction, channels, pages, wireBytes, qemuBytes } = await lastOutgoing()
    assert.deepEqual([driver, status, direction, channels], ['relay', 'completed', 'outgoing', 1])
    assert.ok(pages.ref > 0)
    assert.ok(wireBytes < qemuBytes / 2, `${wireBytes} of ${qemuBytes} bytes`)
    const { carried, direct } = await intercepted()
    assert.deepEqual([carried, direct], [1, 0])
  })

  it('passes over many channels', async () => {
    const { carried } = await intercepted()
    await migrate({ capabilities: ['multifd'], parameters: { 'multifd-channels': 8 } })
    assert.equal((await intercepted()).carried, carried + 9)
    await until('the record', async () => (await lastOutgoing()).channels === 9)
  })

  it('goes direct when the agent has been killed', async () => {
    await cluster.agent('a').kill()
    await migrate({ isKnown: false })
  })
})
