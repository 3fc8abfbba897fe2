import assert from 'node:assert/strict'

import { systemClock } from '../../src/runtime/clock.ts'
import { createCluster, ensureImage, waitFor, type LabCluster, type LabGuest } from '../../testnet/index.ts'
import { expectArrivedWhole, moveToStandstill, skipWithoutLab } from '../support/labmove.ts'

const TEST_TIMEOUT_MS = 600_000
const PEERS_TIMEOUT_MS = 60_000
/** Small, and at work: their memory changes while they move. */
const SMALL = { system: 'busybox', work: 'random', memoryMiB: 128 } as const
/** The hosts between which each guest goes to and fro. */
const WAYS = { one: ['a', 'b'], two: ['b', 'c'] } as const

interface Span {
  beganAt: number
  endedAt: number
}

describe('a fourth host that joins while guests move', function () {
  this.timeout(TEST_TIMEOUT_MS)
  let cluster: LabCluster | undefined

  before(async function () {
    await skipWithoutLab.call(this)
    await ensureImage()
    cluster = await createCluster({
      hosts: ['a', 'b', 'c', 'd'], withoutAgents: true, settings: { store: { maxBytes: 0 } },
    })
    for (const host of ['a', 'b', 'c']) await cluster.restartAgent(host)
  })

  after(() => cluster?.close())

  /** Moves the guest, compares its memory, and ends the QEMU that it left. */
  async function moveOnce(guest: LabGuest, from: string, to: string): Promise<{ arrived: LabGuest; span: Span }> {
    const arrived = await cluster!.startGuest(to, { ...SMALL, name: guest.name, incoming: true })
    const beganAt = performance.now()
    await moveToStandstill(cluster!, { guest, from, to, mode: 'precopy' })
    const span = { beganAt, endedAt: performance.now() }
    await expectArrivedWhole(guest, arrived, SMALL.memoryMiB)
    await guest.stop()
    return { arrived, span }
  }

  /** Moves the guest to and fro until `isOver`. */
  async function moveOn(
    first: LabGuest, [home, away]: readonly [string, string], isOver: () => boolean,
  ): Promise<{ guest: LabGuest; at: string; spans: Span[] }> {
    const spans: Span[] = []
    let [guest, at, other] = [first, home, away]
    while (!isOver()) {
      const { arrived, span } = await moveOnce(guest, at, other)
      spans.push(span)
      ;[guest, at, other] = [arrived, other, at]
    }
    return { guest, at, spans }
  }

  async function untilPeers(host: string, count: number): Promise<void> {
    await waitFor(async () => ((await cluster!.agent(host).status()).peers.length === count ? true : undefined), {
      clock: systemClock, what: `${host} to see ${count} others`, timeoutMs: PEERS_TIMEOUT_MS, pauseMs: 100,
    })
  }

  it('is one of them by two commands, disturbs none of them, and takes a guest', async () => {
    const guests = await Promise.all(Object.entries(WAYS).map(async ([name, [home]]) => {
      const guest = await cluster!.startGuest(home, { name, ...SMALL })
      await guest.ready()
      return guest
    }))
    await cluster!.settled()
    let isOver = false
    const moving = Promise.all(Object.values(WAYS).map((way, index) => moveOn(guests[index]!, way, () => isOver)))
    const joining = { beganAt: performance.now(), endedAt: 0 }
    try {
      await cluster!.join('d', 'c')
      for (const host of ['a', 'b', 'c', 'd']) await untilPeers(host, 3)
    } finally {
      joining.endedAt = performance.now()
      isOver = true
      await moving.catch(() => {})
    }
    const moved = await moving
    const [one, two] = moved
    const during = moved.map(({ spans }) => spans.filter((span) => overlaps(span, joining)).length)
    console.log(`      joined within ${Math.round(joining.endedAt - joining.beganAt)} ms, while the guests moved ` +
      `${during.join(' and ')} times`)
    assert.ok(during.every((count) => count > 0))
    const { invitations } = await cluster!.agent('c').status()
    assert.deepEqual(invitations, { open: 0, joined: 1, refused: 0 })

    await cluster!.settled()
    const { arrived } = await moveOnce(one!.guest, one!.at, 'd')
    assert.deepEqual((await cluster!.agent('d').status()).guests.map(({ name }) => name), ['one'])
    await arrived.moreBeats(1)
    await two!.guest.moreBeats(1)
  })
})

function overlaps(one: Span, other: Span): boolean {
  return one.beganAt < other.endedAt && other.beganAt < one.endedAt
}
