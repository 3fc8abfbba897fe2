import assert from 'node:assert/strict'

import { arrivalResult } from '../../../src/relay/index.ts'

const SPENT = { report: 100, gossip: 20, swap: 3 }
const REFS = { sentBefore: 1, resident: 2, store: 3, peer: 4, source: 5 }
const SEEN = {
  totalMs: 1234.5, traffic: { sentBytes: 50, receivedBytes: 400 }, channels: 2, spent: SPENT,
  summary: { streamBytes: 9000, refsFilledBy: REFS, peerBytes: 40 },
}

describe('what a destination writes down of a relayed migration', () => {
  const about = { guest: 'web', from: 'a', to: 'b' }

  it('is what its source said, and what it counted itself', () => {
    const result = arrivalResult(about, { ...SEEN, outcome: { status: 'completed', mode: 'postcopy' } })
    assert.deepEqual([result.guest, result.from, result.to], ['web', 'a', 'b'])
    assert.deepEqual([result.status, result.mode], ['completed', 'postcopy'])
    assert.deepEqual([result.qemuBytes, result.channels, result.totalMs], [9000, 2, 1235])
    assert.deepEqual(result.refsFilledBy, REFS)
    // As at the source: what the source's agent sent, and what it received.
    assert.deepEqual([result.wireBytes, result.receivedWireBytes, result.peerBytes], [400, 50, 40])
    assert.equal(result.ledger.savedBytes, 9000 - 400 - 50 - 40)
    assert.deepEqual(result.ledger.spentBytes, { source: { report: 0, gossip: 0, swap: 0 }, destination: SPENT })
    assert.equal(result.ledger.netBytes, 8510 - 123)
  })

  it('is that nothing is known where the source has not said anything', () => {
    const result = arrivalResult({ ...about, guest: undefined }, { ...SEEN, outcome: undefined })
    assert.deepEqual([result.guest, result.status, result.code], ['(unknown)', 'unknown', 'not-told'])
    assert.match(result.reason!, /^a has not told/)
  })
})
