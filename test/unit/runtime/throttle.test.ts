import assert from 'node:assert/strict'
import fc from 'fast-check'

import { Throttle } from '../../../src/runtime/throttle.ts'
import { VirtualClock } from '../../sim/time.ts'
import { mostInSecond } from './mostinsecond.ts'

describe('a throttle', () => {
  it('lets no more through in a second than rate, burst and one piece, whatever is given back and spent', async () => {
    const step = fc.record({
      kind: fc.constantFrom('take', 'take', 'take', 'giveBack', 'spend', 'pause'),
      units: fc.integer({ min: 1, max: 60 }),
    })
    await fc.assert(fc.asyncProperty(fc.array(step, { maxLength: 150 }), async (steps) => {
      const clock = new VirtualClock()
      const throttle = new Throttle({ clock }, { rate: 1000, burst: 20 })
      const events: { at: number; bytes: number }[] = []
      for (const { kind, units } of steps) {
        if (kind === 'pause') await clock.run(clock.now() + units * 5)
        // Given back is at most what was taken last, as a reservation does.
        if (kind === 'giveBack' && events.length > 0) {
          const last = events.at(-1)!
          const back = Math.min(units, last.bytes)
          throttle.giveBack(back)
          last.bytes -= back
        }
        if (kind === 'take') {
          await clock.complete(throttle.take(units), 1)
          events.push({ at: clock.now(), bytes: units })
        }
        if (kind === 'spend' && units < 10) {
          throttle.spend(units)
          await clock.complete(throttle.take(1), 1)
          events.push({ at: clock.now(), bytes: units + 1 })
        }
      }
      const most = mostInSecond(events)
      assert.ok(most <= 1000 + 20 + 60, `${most}`)
    }), { numRuns: 15 })
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

  it('has a burst of 50 ms unless it is told another, and at least one unit', async () => {
    for (const [rate, burst] of [[1000, 50], [10, 1]] as const) {
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
    assert.equal(throttle.isFree, true)
    throttle.spend(1e9)
    throttle.giveBack(1)
    await throttle.take(1e9)
    await throttle.take(1)
    assert.equal(new Throttle({ clock: new VirtualClock() }, { rate: 1 }).isFree, false)
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
