import assert from 'node:assert/strict'

import { systemClock } from '../../src/runtime/clock.ts'
import {
  createCluster, ensureImage, migratePlain, sentDuring, waitFor, type LabCluster, type LabGuest,
} from '../../testnet/index.ts'
import { move, skipWithoutLab } from '../support/labmove.ts'

const SETUP_TIMEOUT_MS = 900_000
const TEST_TIMEOUT_MS = 300_000
const LINK_BYTES_PER_SECOND = 125e6
const GUEST = { name: 'web', work: 'web', memoryMiB: 512 } as const
/** How long the guest works elsewhere before it goes home, ms; `npm run test:away` makes it ten minutes. */
const AWAY_MS = Number(process.env.PAGEMESH_AWAY_SECONDS ?? 10) * 1000
/** Relative to QEMU's plain pre-copy in the same run. */
const WIRE_TO_PLAIN_MAX = 0.15

describe('a guest that comes back to a host where nothing else runs', function () {
  this.timeout(TEST_TIMEOUT_MS + AWAY_MS)
  let cluster: LabCluster | undefined

  before(async function () {
    await skipWithoutLab.call(this)
    this.timeout(SETUP_TIMEOUT_MS)
    await ensureImage()
    cluster = await createCluster({ hosts: ['a', 'c'], bytesPerSecond: LINK_BYTES_PER_SECOND })
  })

  after(async () => {
    await cluster?.close()
  })

  async function scannedAgain(host: string): Promise<void> {
    const { scans } = (await cluster!.agent(host).status()).census
    await waitFor(async () => ((await cluster!.agent(host).status()).census.scans > scans ? true : undefined), {
      clock: systemClock, what: `another scan at ${host}`, timeoutMs: 120_000, pauseMs: 500,
    })
  }

  it('finds its pages in the store of that host', async () => {
    const { network } = cluster!
    let guest: LabGuest = await cluster!.startGuest('a', GUEST)
    await guest.moreBeats(2)
    // The scan must have seen the booted guest, not only the booting one.
    await scannedAgain('a')
    // Away with Pagemesh: c knows none of the guest's pages.
    let destination = await cluster!.startGuest('c', { ...GUEST, incoming: true })
    await move(cluster!, { guest, from: 'a', to: 'c', mode: 'precopy' })
    const kept = (await cluster!.agent('a').status()).store.pages
    assert.ok(kept > 30_000, `${kept} pages were kept`)
    await guest.stop()
    guest = destination
    await systemClock.sleep(AWAY_MS)
    await cluster!.settled()
    // And home again.
    destination = await cluster!.startGuest('a', { ...GUEST, incoming: true })
    const { result: home, sentBytes } = await sentDuring(network, 'c', () =>
      move(cluster!, { guest, from: 'c', to: 'a', mode: 'precopy' }))
    const wireBytes = sentBytes!
    await guest.stop()
    guest = destination
    await guest.moreBeats(2)
    // The same way with QEMU alone.
    destination = await cluster!.startGuest('c', { ...GUEST, incoming: true })
    const plain = await migratePlain({ source: guest, destination, network, mode: 'precopy' })
    const ratio = wireBytes / plain.wireBytes!
    const megabytes = [wireBytes, plain.wireBytes!].map((bytes) => (bytes / 1e6).toFixed(1))
    console.log(`      ${kept} pages kept; home with ${megabytes.join(' MB of plain ')} MB (${ratio.toFixed(3)}), in ` +
      `${(home.totalMs / plain.totalMs).toFixed(2)} of its time; ${JSON.stringify(home.refsFilledBy)}`)
    assert.ok(home.refsFilledBy.store > 30_000)
    assert.ok(ratio <= WIRE_TO_PLAIN_MAX, `${ratio}`)
  })
})
