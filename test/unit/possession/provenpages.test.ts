import assert from 'node:assert/strict'

import { ProvenPages } from '../../../src/possession/provenpages.ts'
import { VirtualClock } from '../../support/time.ts'

const INTERVAL_MS = 1000

function started(pagesMax = 1000) {
  const clock = new VirtualClock()
  const proven = new ProvenPages({ clock }, { intervalMs: INTERVAL_MS, pagesMax })
  const pass = async (ms: number): Promise<void> => {
    await clock.run(clock.now() + ms)
    proven.age()
  }
  return { proven, pass }
}

describe('what hosts proved', () => {
  it('is counted once for each host', () => {
    const { proven } = started()
    for (const peerId of ['a', 'b', 'a']) proven.add(peerId, 1, 2)
    assert.equal(proven.hostsOf(1, 2, 9), 2)
    assert.equal(proven.hostsOf(1, 2, 1), 1)
    assert.equal(proven.hostsOf(2, 1, 9), 0)
    assert.deepEqual(['a', 'b', 'c'].map((peerId) => proven.has(peerId, 1, 2)), [true, true, false])
  })

  it('counts for an interval, and for two at most', async () => {
    const { proven, pass } = started()
    await pass(INTERVAL_MS - 1)
    proven.add('a', 1, 2)
    await pass(INTERVAL_MS)
    assert.equal(proven.hostsOf(1, 2, 9), 1)
    proven.add('a', 1, 2)
    assert.equal(proven.hostsOf(1, 2, 9), 1, 'in both intervals it is one host')
    await pass(INTERVAL_MS)
    await pass(INTERVAL_MS)
    assert.equal(proven.hostsOf(1, 2, 9), 0)
    proven.add('a', 1, 2)
    await pass(2 * INTERVAL_MS)
    assert.equal(proven.hostsOf(1, 2, 9), 0, 'nor does it live on while nobody looks')
  })

  it('is bounded: the older half goes when there are too many', () => {
    const { proven } = started(10)
    for (let page = 0; page < 25; page++) proven.add('a', page, 0)
    const known = Array.from({ length: 25 }, (_, page) => page).filter((page) => proven.has('a', page, 0))
    assert.deepEqual(known, Array.from({ length: 15 }, (_, index) => index + 10))
  })

  it('is forgotten with the host', () => {
    const { proven } = started(3)
    for (let page = 0; page < 4; page++) for (const peerId of ['a', 'b']) proven.add(peerId, page, 0)
    proven.forget('a')
    for (let page = 0; page < 4; page++) assert.equal(proven.has('a', page, 0), false)
    assert.equal(proven.has('b', 3, 0), true)
  })
})
