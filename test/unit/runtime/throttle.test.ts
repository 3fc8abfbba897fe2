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
})
