import assert from 'node:assert/strict'
import { getEventListeners } from 'node:events'

import type { UnsecuredLane } from '../../../../src/mesh/index.ts'
import { LaneTickets, TICKET_VALID_MS, TICKETS_MAX } from '../../../../src/mesh/lanes/lanetickets.ts'
import { systemRandom } from '../../../../src/runtime/random.ts'
import { VirtualClock } from '../../../support/time.ts'

function started() {
  const clock = new VirtualClock()
  return { clock, tickets: new LaneTickets({ clock, random: systemRandom }) }
}

describe('tickets of lanes', () => {
  it('are of a form of their own each, and good once', async () => {
    const { clock, tickets } = started()
    const { signal } = new AbortController()
    const offers = [tickets.offer(signal), tickets.offer(signal)]
    assert.notEqual(offers[0]!.id, offers[1]!.id)
    assert.notDeepEqual(offers[0]!.key, offers[1]!.key)
    assert.match(offers[0]!.id, /^[0-9a-f]{32}$/)
    assert.equal(offers[0]!.key.length, 32)
    const taken = tickets.take(offers[0]!.id)!
    assert.equal(taken.key, offers[0]!.key)
    assert.equal(tickets.take(offers[0]!.id), undefined)
    const lane = {} as UnsecuredLane
    taken.settle(lane)
    assert.equal(await offers[0]!.lane, lane)
    assert.deepEqual([getEventListeners(signal, 'abort').length, clock.pendingCount], [1, 1], 'the other one\'s')
    tickets.close()
    assert.deepEqual([getEventListeners(signal, 'abort').length, clock.pendingCount], [0, 0])
    await assert.rejects(offers[1]!.lane, { code: 'mesh-stopped' })
  })

  it('are good for half a minute', async () => {
    assert.equal(TICKET_VALID_MS, 30_000)
    const { clock, tickets } = started()
    const late = tickets.offer(new AbortController().signal)
    await clock.run(29_999)
    assert.notEqual(tickets.take(late.id), undefined)
    const other = tickets.offer(new AbortController().signal)
    await clock.run(60_000)
    assert.equal(tickets.take(other.id), undefined)
    for (const { lane } of [late, other]) {
      await assert.rejects(lane, { code: 'lane-expired', fault: 'network', message: /within 30 s/ })
    }
  })

  it('are withdrawn by their signal', async () => {
    const { clock, tickets } = started()
    const abort = new AbortController()
    const { id, lane } = tickets.offer(abort.signal)
    abort.abort(new Error('no more'))
    await assert.rejects(lane, /no more/)
    assert.equal(tickets.take(id), undefined)
    assert.equal(clock.pendingCount, 0)
  })

  it('are 256 at a time, and one that is redeemed, over or withdrawn makes room for another', async () => {
    assert.equal(TICKETS_MAX, 256)
    const { clock, tickets } = started()
    const abort = new AbortController()
    const { signal } = new AbortController()
    const isFull = (): void => assert.throws(() => tickets.offer(signal), { code: 'lanes-exhausted', fault: 'host' })
    tickets.offer(abort.signal)
    const { id } = tickets.offer(signal)
    for (let count = 2; count < TICKETS_MAX; count++) tickets.offer(signal)
    isFull()
    abort.abort()
    tickets.offer(signal)
    isFull()
    tickets.take(id)
    tickets.offer(signal)
    isFull()
    await clock.run(TICKET_VALID_MS)
    for (let count = 0; count < TICKETS_MAX; count++) tickets.offer(signal)
    isFull()
    tickets.close()
    tickets.offer(signal)
  })

  it('are none under a signal that has aborted, whatever its reason', async () => {
    const { clock, tickets } = started()
    for (const reason of [new Error('before'), 'before']) {
      const { id, lane } = tickets.offer(AbortSignal.abort(reason))
      await assert.rejects(lane, { name: 'Error', message: 'before' })
      assert.equal(tickets.take(id), undefined)
    }
    assert.equal(clock.pendingCount, 0)
  })
})
