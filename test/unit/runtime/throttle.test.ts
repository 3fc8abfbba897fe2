import assert from 'node:assert/strict'
import fc from 'fast-check'

import { Throttle } from '../../../src/runtime/throttle.ts'
import { VirtualClock } from '../../support/time.ts'

/** 20 ms of this rate are the burst. */
const RATE = 1000
const BURST = 20

interface Spent {
  at: number
  units: number
  /** Whether it was let through, rather than spent without asking. */
  waited: boolean
}

/**
 * The most that went through in front of one that waited, over any time, beyond what the rate brought meanwhile.
 * The one that waited is not counted itself: it may be larger than what there is.
 */
function mostBeyondRate(events: readonly Spent[]): number {
  let most = 0
  for (let last = 0; last < events.length; last++) {
    let units = 0
    for (let first = last - 1; first >= 0 && events[last]!.waited; first--) {
      units += events[first]!.units
      most = Math.max(most, units - ((events[last]!.at - events[first]!.at) / 1000) * RATE)
    }
  }
  return most
}

/** A clock whose timers are late, by so many milliseconds each in turn. */
class LateClock extends VirtualClock {
  readonly #lateMs: readonly number[]
  #sleeps = 0

  constructor(lateMs: readonly number[]) {
    super()
    this.#lateMs = lateMs
  }

  override sleep(delayMs: number, signal?: AbortSignal): Promise<void> {
    return super.sleep(delayMs + this.#lateMs[this.#sleeps++ % this.#lateMs.length]!, signal)
  }
}

describe('a throttle', () => {
  it('lets no more through in any time than rate and burst, whatever is given back and spent', async () => {
    const step = fc.record({
      kind: fc.constantFrom('take', 'take', 'take', 'giveBack', 'spend', 'pause'),
      units: fc.integer({ min: 1, max: 60 }),
    })
    await fc.assert(fc.asyncProperty(fc.array(step, { minLength: 20, maxLength: 150 }), async (steps) => {
      const clock = new VirtualClock()
      const throttle = new Throttle({ clock }, { rate: RATE, burst: BURST })
      const events: Spent[] = []
      for (const { kind, units } of steps) {
        if (kind === 'pause') await clock.run(clock.now() + units * 5)
        // Given back is at most what was taken last, as a reservation does.
        if (kind === 'giveBack' && events.length > 0) {
          const last = events.at(-1)!
          const back = Math.min(units, last.units)
          throttle.giveBack(back)
          last.units -= back
        }
        if (kind === 'take') await clock.complete(throttle.take(units), 1)
        if (kind === 'spend') throttle.spend(units)
        if (kind === 'take' || kind === 'spend') events.push({ at: clock.now(), units, waited: kind === 'take' })
      }
      assert.ok(mostBeyondRate(events) < BURST + 1e-6, `${mostBeyondRate(events)}`)
    }), { numRuns: 40 })
  })

  it('brings its whole rate to whoever always wants more, though timers are late by up to 10 ms', async () => {
    const piece = fc.integer({ min: 1, max: 200 })
    const lateness = fc.array(fc.integer({ min: 0, max: 10 }), { minLength: 1, maxLength: 20 })
    await fc.assert(fc.asyncProperty(piece, lateness, async (units, late) => {
      const clock = new LateClock(late)
      const throttle = new Throttle({ clock }, { rate: RATE })
      let taken = 0
      const taking = (async () => {
        for (; clock.now() < 5000; taken += units) await throttle.take(units)
      })()
      await clock.complete(taking, 1)
      const expected = (clock.now() / 1000) * RATE
      assert.ok(Math.abs(taken - expected) <= BURST + 2 * units, `${taken} instead of ${expected}`)
    }), { numRuns: 30 })
  })

  it('keeps what is given back for the next one, up to the burst', async () => {
    const clock = new VirtualClock()
    const throttle = new Throttle({ clock }, { rate: 1000, burst: 20 })
    await throttle.take(520)
    throttle.giveBack(500)
    throttle.giveBack(500)
    await throttle.take(20)
    const begunAt = clock.now()
    await clock.complete(throttle.take(1), 1)
    assert.ok(clock.now() > begunAt)
  })

  /** When each of these is let through, ms of the clock. */
  async function timesOf(throttle: Throttle, clock: VirtualClock, takes: readonly number[]): Promise<number[]> {
    const times: number[] = []
    for (const units of takes) {
      await clock.complete(throttle.take(units), 1)
      times.push(clock.now())
    }
    return times
  }

  it('lets each wait for exactly what those before it took', async () => {
    const clock = new VirtualClock()
    await clock.run(10_000)
    const throttle = new Throttle({ clock }, { rate: 1000, burst: 20 })
    // At once; at once, for the burst is not used up; 40 taken more than there was; then one by one.
    const times = await timesOf(throttle, clock, [10, 50, 1, 1, 100, 1])
    assert.deepEqual(times.map((time) => time - 10_000), [0, 0, 41, 41 + 1, 41 + 2, 41 + 2 + 100])
  })

  it('has a burst of 20 ms unless it is told another, and at least one unit', async () => {
    for (const [rate, burst] of [[1000, 20], [10, 1]] as const) {
      const clock = new VirtualClock()
      const throttle = new Throttle({ clock }, { rate })
      await timesOf(throttle, clock, [burst])
      assert.equal(clock.now(), 0)
      await timesOf(throttle, clock, [1])
      assert.equal(clock.now(), 1000 / rate)
    }
  })

  it('never saves more than its burst, however long nothing is taken', async () => {
    const clock = new VirtualClock()
    const throttle = new Throttle({ clock }, { rate: 1000, burst: 20 })
    await clock.run(60_000)
    throttle.giveBack(500)
    assert.deepEqual(await timesOf(throttle, clock, [20, 1]), [60_000, 60_001])
  })

  it('makes the next one wait for what is spent at once', async () => {
    const clock = new VirtualClock()
    const throttle = new Throttle({ clock }, { rate: 1000, burst: 20 })
    throttle.spend(120)
    assert.deepEqual(await timesOf(throttle, clock, [1]), [101])
    await clock.run(1000)
    throttle.spend(30)
    assert.deepEqual(await timesOf(throttle, clock, [1]), [1011], 'what came meanwhile is counted first')
    await clock.run(2000)
    throttle.giveBack(0)
    throttle.spend(30)
    throttle.giveBack(20)
    assert.deepEqual(await timesOf(throttle, clock, [10, 1]), [2000, 2001])
  })

  it('that is free never waits, whatever is spent', async () => {
    const throttle = new Throttle({ clock: new VirtualClock() }, { rate: Infinity })
    throttle.spend(1e9)
    throttle.giveBack(1)
    await throttle.take(1e9)
    await throttle.take(1)
    assert.equal(throttle.tryTake(1e9), true)
  })

  it('says at once whether anything may be spent, and spends nothing otherwise', async () => {
    const clock = new VirtualClock()
    const throttle = new Throttle({ clock }, { rate: 1000, burst: 20 })
    assert.deepEqual([throttle.tryTake(19), throttle.tryTake(5), throttle.tryTake(5)], [true, true, false])
    await clock.run(4)
    assert.equal(throttle.tryTake(1), false)
    await clock.run(5)
    assert.equal(throttle.tryTake(1), true)
  })

  it('sets one timer for each wait, of whole milliseconds', async () => {
    const clock = new VirtualClock()
    const throttle = new Throttle({ clock }, { rate: 3000, burst: 20 })
    throttle.spend(24)
    const events = clock.eventCount
    assert.deepEqual(await timesOf(throttle, clock, [1]), [2])
    assert.equal(clock.eventCount, events + 1)
  })

  it('stops waiting with the signal', async () => {
    const clock = new VirtualClock()
    const throttle = new Throttle({ clock }, { rate: 1, burst: 1 })
    await throttle.take(100)
    const abort = new AbortController()
    const waiting = throttle.take(1, abort.signal)
    abort.abort(new Error('enough'))
    await assert.rejects(waiting, /enough/)
  })
})
