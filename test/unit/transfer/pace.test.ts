import assert from 'node:assert/strict'

import { paceOf, streamMsOf, workOf, type PaceInit, type PastMove } from '../../../src/transfer/pace.ts'

const SPEEDS = { pageMs: 0.01, literalMs: 0.02 }
const MEASURED: PaceInit = {
  to: 'b', past: [], speeds: SPEEDS, linkBytesPerSecond: 1e9, bytesPerSecondMax: undefined,
}
const UNMEASURED: PaceInit = { ...MEASURED, linkBytesPerSecond: undefined }
const GUESTS = [1000, 30_000, 2000, 80_000, 500, 10_000, 1000, 50_000].map((ref, index) => (
  { pages: { ref, literal: 700 * index }, wireBytes: 1e6 + 5e6 * (index % 3) }))

/** Handoffs of those guests to b that took `baseMs`, so many times their work, and their bytes at that rate. */
function moves(baseMs: number, factor: number, bytesPerMs = Infinity): PastMove[] {
  return GUESTS.map(({ pages, wireBytes }) => ({
    to: 'b', mode: 'precopy', downtimeMs: 60, pages, wireBytes,
    totalMs: baseMs + factor * workOf(pages, SPEEDS) + wireBytes / bytesPerMs,
  }))
}

/** What the handoffs would have been expected to take, as shares of what they took. */
function sharesOf(init: PaceInit): number[] {
  const pace = paceOf(init)
  return init.past.map(({ pages, wireBytes, totalMs }) =>
    (pace.baseMs + streamMsOf({ wireBytes, workMs: workOf(pages, SPEEDS) }, pace)) / totalMs)
}

describe('the pace of a host', () => {
  it('is the one that earlier handoffs show, whatever their guests, on a link of known rate', () => {
    for (const [base, factor] of [[200, 1.5], [1000, 3], [3000, 8]] as const) {
      for (const share of sharesOf({ ...MEASURED, past: moves(base, factor) })) {
        assert.ok(share > 0.85 && share < 1.15, `${share} of ${base} ms and ${factor} times`)
      }
    }
  })

  it('is the one that earlier handoffs there show on a link of unknown rate, which it finds out', () => {
    for (const bytesPerMs of [12_500, 125_000]) {
      const past = moves(600, 2, bytesPerMs)
      for (const share of sharesOf({ ...UNMEASURED, past })) assert.ok(share > 0.85 && share < 1.15, `${share}`)
      const { wireMs, isMeasured, isKnown } = paceOf({ ...UNMEASURED, past })
      assert.deepEqual([isMeasured, isKnown], [false, true])
      const found = wireMs * bytesPerMs
      assert.ok(found > 0.7 && found < 1.3, `${found}`)
    }
  })

  it('is something to begin with before there was any handoff, and follows the first', () => {
    const { baseMs, factor, wireMs, isKnown } = paceOf(UNMEASURED)
    assert.deepEqual([baseMs, factor, 1 / wireMs].map(Math.round), [1000, 3, 125_000])
    assert.equal(isKnown, false)
    assert.equal(paceOf(MEASURED).isKnown, true)
    const [first] = moves(1000, 3)
    const [share] = sharesOf({ ...MEASURED, past: [{ ...first!, totalMs: first!.totalMs * 4 }] })
    assert.ok(share! > 0.6 && share! <= 1, `${share}`)
  })

  it('learns nothing of handoffs that waited for the wire, to other hosts on other links, or long ago', () => {
    const [newer, older] = [moves(200, 2), moves(9000, 9)]
    assert.deepEqual(paceOf({ ...MEASURED, past: [...newer, ...older] }), paceOf({ ...MEASURED, past: newer }))
    const waited = older.map((move) => ({ ...move, wireBytes: move.totalMs * 1e6 * 0.6 }))
    assert.deepEqual(paceOf({ ...MEASURED, past: waited }), paceOf(MEASURED))
    const elsewhere = older.map((move) => ({ ...move, to: 'c' }))
    assert.deepEqual(paceOf({ ...UNMEASURED, past: elsewhere }), paceOf(UNMEASURED))
    assert.notDeepEqual(paceOf({ ...MEASURED, past: elsewhere }), paceOf(MEASURED))
    assert.deepEqual(paceOf({ ...MEASURED, past: [{ ...newer[0]!, totalMs: 0 }] }), paceOf(MEASURED))
  })

  it('has nothing that is negative, and no more on the wire than was asked for', () => {
    const odd = [[5000, 10], [10, 1e6], [4000, 20]].map(([totalMs, ref]) => (
      { ...moves(1, 1)[0]!, totalMs: totalMs!, pages: { ref: ref!, literal: 0 } }))
    const { baseMs, factor, wireMs } = paceOf({ ...UNMEASURED, past: odd })
    assert.ok(baseMs >= 0 && factor >= 0 && wireMs >= 0)
    for (const init of [MEASURED, UNMEASURED]) {
      const limited = paceOf({ ...init, bytesPerSecondMax: 1e6 })
      assert.deepEqual([limited.wireMs, limited.isKnown], [1e-3, true])
    }
    assert.equal(paceOf({ ...MEASURED, bytesPerSecondMax: 1e12 }).wireMs, 1e-6)
  })
})

describe('the time of a stream', () => {
  const pace = { baseMs: 500, factor: 2, wireMs: 1e-3, isMeasured: true, isKnown: true }

  it('is that of the slower of wire and work where the wire was measured, else of both', () => {
    assert.equal(streamMsOf({ wireBytes: 1e6, workMs: 100 }, pace), 1000)
    assert.equal(streamMsOf({ wireBytes: 1e6, workMs: 1000 }, pace), 2000)
    assert.equal(streamMsOf({ wireBytes: 1e6, workMs: 100 }, { ...pace, isMeasured: false }), 1200)
  })

  it('has work for each page, and more for literals', () => {
    assert.equal(workOf({ ref: 100, literal: 50 }, SPEEDS), 2.5)
  })
})
