import assert from 'node:assert/strict'

import { inPieces } from '../../../src/runtime/turn.ts'

/** Counts the turns that others get; like a socket, each waits for the one before. */
function otherWork(): { turns: number; stop(): void } {
  const other = { turns: 0, stop: () => clearImmediate(next) }
  let next = setImmediate(function turn() {
    other.turns += 1
    next = setImmediate(turn)
  })
  return other
}

function holdThread(forMs: number): void {
  const endsAt = performance.now() + forMs
  while (performance.now() < endsAt);
}

describe('work in pieces', () => {
  it('does every entry once, in order', async () => {
    const done: number[] = []
    await inPieces(100_001, (from, to) => { for (let entry = from; entry < to; entry++) done.push(entry) })
    assert.equal(done.length, 100_001)
    assert.ok(done.every((entry, index) => entry === index))
    await inPieces(0, () => assert.fail('there is nothing to do'))
  })

  it('lets others have their turn after some milliseconds, and not without need', async () => {
    const other = otherWork()
    try {
      let pieces = 0
      await inPieces(200_000, () => {
        pieces += 1
        holdThread(10)
      })
      assert.ok(pieces > 4, `${pieces}`)
      assert.ok(other.turns >= pieces - 1, `${other.turns} turns in ${pieces} pieces`)
    } finally {
      other.stop()
    }
    const hurried = otherWork()
    await inPieces(3, () => undefined)
    assert.equal(hurried.turns, 0)
    hurried.stop()
  })

  it('ends with what a piece throws', async () => {
    await assert.rejects(() => inPieces(10, () => { throw new Error('this piece') }), /this piece/)
  })
})
