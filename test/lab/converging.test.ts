import assert from 'node:assert/strict'

import { systemClock } from '../../src/runtime/clock.ts'
import { createCluster, ensureImage, migratePlain, waitFor, type LabCluster } from '../../testnet/index.ts'
import { move, skipWithoutLab, type GuestKind } from '../support/labmove.ts'

const TEST_TIMEOUT_MS = 600_000
/** Less than the guest rewrites, but more than that takes under zstd. */
const LINK_BYTES_PER_SECOND = 12.5e6
/** Time for each way: in it plain pre-copy sends the changes some five times. */
const PATIENCE_SECONDS = 45
/** The first pass sends all of the memory, each later one the changes of the time before. */
const PASSES_MIN = 3

const KIND: GuestKind = { name: 'scribe', work: 'rewrite', memoryMiB: 256 }

describe('a guest that rewrites text faster than the link carries it uncompressed', function () {
  this.timeout(TEST_TIMEOUT_MS)
  let cluster: LabCluster | undefined

  before(async function () {
    await skipWithoutLab.call(this)
    await ensureImage()
  })

  after(() => cluster?.close())

  it('moves with Pagemesh in pre-copy, where QEMU alone never catches up', async () => {
    cluster = await createCluster({ hosts: ['a', 'b'], bytesPerSecond: LINK_BYTES_PER_SECOND })
    const guest = await cluster.startGuest('a', KIND)
    await guest.ready()
    const info = async (): Promise<{ status?: string; ram?: { 'dirty-sync-count': number } }> =>
      await guest.qmp.execute('query-migrate') as Awaited<ReturnType<typeof info>>

    const inVain = await cluster.startGuest('b', { ...KIND, incoming: true })
    await assert.rejects(migratePlain({
      source: guest, destination: inVain, network: cluster.network, mode: 'precopy',
      timeoutMs: PATIENCE_SECONDS * 1000,
    }), /precopy of guest scribe to complete/)
    const passes = (await info()).ram!['dirty-sync-count']
    assert.ok(passes >= PASSES_MIN, `${passes} passes: it has not shown that it does not catch up`)
    await guest.qmp.execute('migrate_cancel')
    await waitFor(async () => (await info()).status === 'cancelled' ? true : undefined, {
      clock: systemClock, what: 'QEMU to give up', timeoutMs: 10_000,
    })
    await inVain.stop()

    await cluster.settled()
    const destination = await cluster.startGuest('b', { ...KIND, incoming: true })
    const { totalMs, downtimeMs, qemuBytes, wireBytes } =
      await move(cluster, {
        guest, from: 'a', to: 'b', mode: 'precopy', words: ['--timeout', String(PATIENCE_SECONDS)],
      })
    await destination.moreBeats(2)
    console.log(`      ${(totalMs / 1000).toFixed(1)} s, down for ${downtimeMs} ms, ` +
      `${(wireBytes / 1e6).toFixed(0)} MB for ${(qemuBytes / 1e6).toFixed(0)} of QEMU's; ` +
      `QEMU alone was at pass ${passes} after ${PATIENCE_SECONDS} s`)
  })
})
