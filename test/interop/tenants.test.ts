import assert from 'node:assert/strict'

import type { HandoffEstimate } from '../../src/index.ts'
import { systemClock } from '../../src/runtime/clock.ts'
import { createCluster, ensureImage, waitFor, type LabCluster, type LabGuest } from '../../testnet/index.ts'
import {
  expectArrivedWhole, expectExactCounts, moveToStandstill, skipWithoutLab, type MoveResult,
} from '../support/labmove.ts'

const SETUP_TIMEOUT_MS = 600_000
const TEST_TIMEOUT_MS = 240_000
const KEPT_TIMEOUT_MS = 60_000
const MEMORY_MIB = 128
/** Pages that two guests of one system have in common, at least. */
const REFS_MIN = 1000
const TENANTS = [
  { guests: 'blue-*', tenant: 'blue' }, { guests: 'red-*', tenant: 'red' }, { guests: 'green-*', tenant: 'green' },
  { guests: 'image-*', tenant: 'public' },
]
/** By how much a dry run may be wrong: the guest runs on. */
const OFF_MAX = 0.1
const PUBLIC_TIMEOUT_MS = 120_000

describe('guests of two tenants with one system, on two hosts', function () {
  this.timeout(TEST_TIMEOUT_MS)
  let cluster: LabCluster | undefined
  const started: LabGuest[] = []

  before(async function () {
    await skipWithoutLab.call(this)
    this.timeout(SETUP_TIMEOUT_MS)
    await ensureImage()
    cluster = await createCluster({ hosts: ['a', 'b'], settings: { tenants: TENANTS, handoff: { threads: 1 } } })
    for (const guest of [await start('a', 'blue-1'), await start('b', 'red-1')]) await guest.ready()
    await cluster.settled()
  })

  after(async () => {
    for (const qemu of started) await qemu.stop()
    await cluster?.close()
  })

  async function start(host: string, name: string, incoming = false): Promise<LabGuest> {
    const qemu = await cluster!.startGuest(host, { name, work: 'idle', memoryMiB: MEMORY_MIB, incoming })
    started.push(qemu)
    return qemu
  }

  /** Moves a guest and compares its memory; its old QEMU ends. */
  async function move(
    guest: LabGuest, from: string, to: string, before = async () => {},
  ): Promise<[MoveResult, LabGuest]> {
    const destination = await start(to, guest.name, true)
    await before()
    const result = await moveToStandstill(cluster!, { guest, from, to, mode: 'precopy' })
    await expectExactCounts(result, guest)
    await expectArrivedWhole(guest, destination, MEMORY_MIB)
    // What it was is read from its old QEMU.
    const what = `what ${guest.name} was to be kept at ${from}`
    await waitFor(async () => ((await cluster!.agent(from).status()).store.pages > REFS_MIN ? true : undefined), {
      clock: systemClock, what, timeoutMs: KEPT_TIMEOUT_MS, pauseMs: 200,
    })
    await guest.stop()
    return [result, destination]
  }

  /** References to what was at the destination or elsewhere, and not only in the same stream before. */
  function refsOutside({ refsFilledBy: { resident, store, peer } }: MoveResult): number {
    return resident + store + peer
  }

  it('refer to no page of the other tenant, and to pages of their own, memory equal byte for byte', async () => {
    const [blue, red] = started as [LabGuest, LabGuest]
    const [apart] = await move(blue, 'a', 'b')
    assert.equal(refsOutside(apart), 0)
    assert.equal(apart.apart, undefined, 'both hosts agree on the tenant')
    // At b there are both by now; what blue-1 was is kept at a, for blue alone.
    const [stillApart, there] = await move(red, 'b', 'a')
    assert.equal(refsOutside(stillApart), 0)
    // References are made of what was scanned.
    await cluster!.settled()
    const [home] = await move(there, 'a', 'b')
    assert.ok(refsOutside(home) > REFS_MIN, `${JSON.stringify(home.refsFilledBy)}: what red-1 left at b`)
  })

  it('refer to public pages at the destination, memory equal byte for byte', async () => {
    const [green, image] = [await start('a', 'green-1'), await start('b', 'image-1')]
    for (const guest of [green, image]) await guest.ready()
    await cluster!.settled()
    // No tenant has guests on two hosts, so that popular pages are public ones.
    await waitFor(async () => {
      return (await cluster!.agent('b').status()).popularity.pages > REFS_MIN ? true : undefined
    }, { clock: systemClock, what: 'b to know public pages', timeoutMs: PUBLIC_TIMEOUT_MS, pauseMs: 500 })
    // Nobody else is of its tenant.
    let estimate: HandoffEstimate | undefined
    const [moved] = await move(green, 'a', 'b', async () => {
      const { status, output, errors } =
        await cluster!.agent('a').command('migrate', green.name, '--to', 'b', '--dry-run', '--json')
      assert.equal(status, 0, errors)
      estimate = JSON.parse(output) as HandoffEstimate
    })
    assert.ok(refsOutside(moved) > REFS_MIN, `${JSON.stringify(moved.refsFilledBy)}: what image-1 has`)
    assert.equal(moved.apart, undefined)
    const { pagesAtDestination, expected } = estimate!
    console.log(`      ${pagesAtDestination} distinct pages were counted there; expected were ` +
      `${expected!.pages.ref} references, ${expected!.wireBytes} bytes; sent ${moved.pages.ref}, ${moved.wireBytes}`)
    for (const share of [expected!.pages.ref / moved.pages.ref, expected!.wireBytes / moved.wireBytes]) {
      assert.ok(share > 1 - OFF_MAX && share < 1 + OFF_MAX, `${share}`)
    }
    // Distinct pages, of which the guest has some in several places.
    assert.ok(pagesAtDestination > REFS_MIN && pagesAtDestination <= refsOutside(moved) * (1 + OFF_MAX))
  })
})
