import assert from 'node:assert/strict'
import fc from 'fast-check'

import { ProactiveCap } from '../../../src/swap/cap.ts'
import { VirtualClock } from '../../support/time.ts'
import { mostInSecond } from '../runtime/mostinsecond.ts'

const signal = new AbortController().signal

describe('the cap', () => {
  it('keeps every second below 1.2 times the rate, both ways together, however late answers come', async () => {
    const init = fc.record({
      rate: fc.constantFrom(125_000, 300_000, 2_500_000, 12_500_000),
      // How late each answer comes, ms, and which share of its pages' bytes it has.
      answers: fc.array(fc.tuple(fc.integer({ min: 0, max: 400 }), fc.double({ min: 0, max: 1, noNaN: true })), {
        minLength: 20, maxLength: 40,
      }),
      isServing: fc.boolean(),
    })
    await fc.assert(fc.asyncProperty(init, async ({ rate, answers, isServing }) => {
      const clock = new VirtualClock()
      const cap = new ProactiveCap({ clock }, { bytesPerSecondMax: rate })
      const events: { at: number; bytes: number }[] = []
      let isOver = false
      const serve = async (): Promise<void> => {
        while (!isOver) {
          await cap.pay(cap.pieceBytes, signal)
          events.push({ at: clock.now(), bytes: cap.pieceBytes })
        }
      }
      const ask = async (): Promise<void> => {
        for (const [lateMs, share] of answers) {
          const reservation = await cap.reserve(cap.pagesPerWant, signal)
          events.push({ at: clock.now(), bytes: cap.pagesPerWant * 8 + 5 })
          clock.after(lateMs, () => {
            const bytes = Math.floor(cap.pagesPerWant * 4096 * share) + 40
            events.push({ at: clock.now(), bytes })
            reservation.settle(bytes)
          })
        }
      }
      const serving = isServing ? serve() : undefined
      await clock.complete(ask())
      isOver = true
      if (serving !== undefined) await clock.complete(serving)
      await clock.run(clock.now() + 1000)
      const most = mostInSecond(events)
      assert.ok(most * 1.08 <= 1.2 * rate, `${most} of ${rate}`)
    }), { numRuns: 12 })
  })

  it('brings nearly all of the rate when answers come soon', async () => {
    const clock = new VirtualClock()
    const rate = 12_500_000
    const cap = new ProactiveCap({ clock }, { bytesPerSecondMax: rate })
    let bytes = 0
    const ask = async (): Promise<void> => {
      while (clock.now() < 3000) {
        const reservation = await cap.reserve(cap.pagesPerWant, signal)
        clock.after(3, () => {
          bytes += cap.pagesPerWant * 1300
          reservation.settle(cap.pagesPerWant * 1300)
        })
      }
    }
    await clock.complete(ask(), 1)
    assert.ok(bytes > 3 * rate * 0.8, `${bytes / 3 / rate}`)
  })

  it('lets one page at a time through at the least rate, and nobody wait for ever who aborts', async () => {
    const clock = new VirtualClock()
    const cap = new ProactiveCap({ clock }, { bytesPerSecondMax: 125_000 })
    assert.equal(cap.pagesPerWant, 1)
    const first = await cap.reserve(1, signal)
    const abort = new AbortController()
    const second = cap.reserve(1, abort.signal)
    second.catch(() => undefined)
    await clock.run(5000)
    abort.abort(new Error('enough'))
    await assert.rejects(second, /enough/)
    first.settle(4000)
    const third = await clock.complete(cap.reserve(1, signal))
    third.settle(0)
  })

  it('says when the first one holds it, and when the last one lets go', () => {
    const said: boolean[] = []
    const init = { bytesPerSecondMax: 1e6, onHeld: (isHeld: boolean) => said.push(isHeld) }
    const cap = new ProactiveCap({ clock: new VirtualClock() }, init)
    const [one, two] = [cap.hold(), cap.hold()]
    one()
    one()
    assert.deepEqual([said, cap.isHeld], [[true], true])
    two()
    assert.deepEqual([said, cap.isHeld], [[true, false], false])
  })
})
