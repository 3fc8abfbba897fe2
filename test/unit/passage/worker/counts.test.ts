import assert from 'node:assert/strict'

import { SharedCounts } from '../../../../src/passage/worker/counts.ts'

describe('the counts of a passage between threads', () => {
  it('are those that were written last, each its own', () => {
    const outgoing = {
      streamBytes: 2 ** 40, zero: 2, ref: 3, sentBefore: 4, literal: 5, rawBytes: 6, literalWireBytes: 7, sentBytes: 8,
      receivedBytes: 9,
    }
    const written = new SharedCounts()
    assert.ok(Object.values(written.outgoing()).every((count) => count === 0))
    written.writeOutgoing(outgoing)
    assert.deepEqual(new SharedCounts(written.shared).outgoing(), outgoing)
    const incoming = {
      streamBytes: 1, sentBytes: 2, receivedBytes: 3,
      refsFilledBy: { sentBefore: 4, resident: 5, store: 6, peer: 7, source: 8 },
    }
    written.writeIncoming(incoming)
    assert.deepEqual(new SharedCounts(written.shared).incoming(), incoming)
  })
})
