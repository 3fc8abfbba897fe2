import assert from 'node:assert/strict'

import { Due, type Sight } from '../../../src/placement/due.ts'
import { systemClock } from '../../../src/runtime/clock.ts'

const INTERVAL_MS = 60_000

/** A Due, and looks at it that are as far apart as it wants them. */
function begun(fraction = 0.5): { due: Due; look: (sight: Partial<Sight>) => boolean; now: () => number } {
  let now = 1_000_000
  const due = new Due(
    { clock: { ...systemClock, now: () => now }, random: { fraction: () => fraction, bytes: () => new Uint8Array(0) } },
    { intervalMs: INTERVAL_MS },
  )
  due.begin()
  return {
    due,
    now: () => now,
    look(sight) {
      now += due.lookMs
      return due.look(sightOf(sight))
    },
  }
}

function sightOf(sight: Partial<Sight>): Sight {
  return { viewPages: 0, hasMembers: true, isScanned: true, isFilled: false, ...sight }
}

/** How many looks it takes until there is something to plan. */
function looksUntilDue(look: (sight: Partial<Sight>) => boolean, sight: Partial<Sight>): number {
  for (let looks = 1; looks <= 200; looks++) if (look(sight)) return looks
  return Infinity
}

describe('a plan is due', () => {
  it('soon after the view has come to rest, later where pages are kept', () => {
    const { look } = begun()
    for (const viewPages of [0, 100, 200, 400]) assert.equal(look({ viewPages }), false)
    assert.equal(look({ viewPages: 400 }), true)
    const { look: lookFilled } = begun()
    assert.equal(looksUntilDue(lookFilled, { viewPages: 400, isFilled: true }), 7)
  })

  it('after two intervals however much the view grows, and never for an empty one', () => {
    const { look } = begun()
    let viewPages = 100
    let looks = 0
    do {
      viewPages *= 1.1
      looks += 1
    } while (!look({ viewPages }))
    assert.equal(looks, 24)
    assert.equal(looksUntilDue(begun().look, { viewPages: 0 }), Infinity)
  })

  it('every interval, more or less', () => {
    for (const [fraction, looks] of [[0, 11], [0.5, 12], [0.999, 14]] as const) {
      const { due, look } = begun(fraction)
      due.planned(100)
      due.succeeded(false)
      assert.equal(looksUntilDue(look, { viewPages: 100 }), looks)
    }
  })

  it('at once when the view has grown by more than a quarter, or a pass was late', () => {
    const { due, look } = begun()
    due.planned(100)
    due.succeeded(false)
    assert.equal(looksUntilDue(look, { viewPages: 126 }), 2)
    due.planned(126)
    due.succeeded(true)
    assert.equal(looksUntilDue(look, { viewPages: 126 }), 1)
  })

  it('not while guests are to be scanned, unless that takes long', () => {
    const { look } = begun()
    assert.equal(looksUntilDue(look, { viewPages: 400, isScanned: false }), 24)
  })

  it('later and later when nothing could be had, whatever grows', () => {
    const { due, look, now } = begun()
    const rests: number[] = []
    for (let time = 0; time < 5; time++) {
      due.planned(100)
      const from = now()
      due.rest()
      looksUntilDue(look, { viewPages: 1000 })
      rests.push((now() - from) / INTERVAL_MS)
    }
    assert.deepEqual(rests, [1, 2, 4, 8, 8])
  })
})

describe('a plan is awaited', () => {
  it('while others may know what is popular, and while what is known is not planned for', () => {
    const { due, look } = begun()
    assert.equal(due.isAwaited(sightOf({})), true)
    assert.equal(due.isAwaited(sightOf({ hasMembers: false })), false)
    assert.equal(due.isAwaited(sightOf({ viewPages: 10, hasMembers: false })), true)
    due.planned(100)
    due.succeeded(false)
    assert.equal(due.isAwaited(sightOf({ viewPages: 110 })), false)
    assert.equal(due.isAwaited(sightOf({ viewPages: 130 })), true)
    due.rest()
    assert.equal(due.isAwaited(sightOf({ viewPages: 130 })), false)
    const { due: late, look: lookLate } = begun()
    for (let looks = 0; looks < 24; looks++) lookLate({})
    assert.equal(late.isAwaited(sightOf({})), false)
    assert.equal(look({ viewPages: 130 }), false)
  })
})
