import assert from 'node:assert/strict'

import type { Encoder } from '../../../src/passage/encoder.ts'
import { FlushTimer } from '../../../src/passage/flushtimer.ts'
import { VirtualClock } from '../../support/time.ts'

/** An encoder that holds some bytes, of which the last are the beginning of a page. */
class PlayedEncoder {
  readonly counts = { streamBytes: 0 }
  pendingBytes = 0
  /** Of those that are pending, those that only leave when all are to. */
  pageBytes = 0
  readonly flushed: { at: number; all: boolean }[] = []
  readonly #clock: VirtualClock

  constructor(clock: VirtualClock) {
    this.#clock = clock
  }

  push(bytes: number, pageBytes = 0): void {
    this.counts.streamBytes += bytes
    this.pendingBytes += bytes
    this.pageBytes = pageBytes
  }

  flush(all = false): void {
    this.flushed.push({ at: this.#clock.now(), all })
    this.pendingBytes = all ? 0 : this.pageBytes
  }
}

function made() {
  const clock = new VirtualClock()
  const encoder = new PlayedEncoder(clock)
  const way = { isPaused: false }
  const components = { clock, encoder: encoder as unknown as Encoder }
  return { clock, encoder, way, timer: new FlushTimer(components, { isPaused: () => way.isPaused }) }
}

describe('what is in no batch while QEMU pauses', () => {
  it('leaves after 3 ms, however often more came meanwhile', async () => {
    const { clock, encoder, timer } = made()
    for (let at = 0; at < 3; at++) {
      encoder.push(1)
      timer.start()
      await clock.run(at + 0.9)
      assert.deepEqual(encoder.flushed, [])
    }
    await clock.run(3)
    assert.deepEqual(encoder.flushed, [{ at: 3, all: false }])
    assert.equal(clock.pendingCount, 0)
    encoder.push(1)
    timer.start()
    await clock.run(100)
    assert.deepEqual(encoder.flushed.map(({ at }) => at), [3, 6])
  })

  it('is waited for by nobody if it is nothing', async () => {
    const { clock, encoder, timer } = made()
    timer.start()
    assert.equal(clock.pendingCount, 0)
    await clock.run(1000)
    assert.deepEqual(encoder.flushed, [])
  })

  it('stays where it is once the timer is stopped, and leaves when it is started again', async () => {
    const { clock, encoder, timer } = made()
    encoder.push(1)
    timer.start()
    timer.stop()
    assert.equal(clock.pendingCount, 0)
    timer.start()
    await clock.run(10)
    assert.equal(encoder.flushed.length, 1)
    timer.stop()
  })

  it('goes 200 ms later if it is the beginning of a page that nothing followed', async () => {
    const { clock, encoder, timer } = made()
    encoder.push(100, 1)
    timer.start()
    await clock.run(202.9)
    assert.deepEqual(encoder.flushed, [{ at: 3, all: false }])
    await clock.run(203)
    assert.deepEqual(encoder.flushed.slice(1), [{ at: 203, all: true }])
    assert.equal(clock.pendingCount, 0)
  })

  it('is waited for anew if something followed the beginning of a page', async () => {
    const { clock, encoder, timer } = made()
    encoder.push(100, 50)
    timer.start()
    await clock.run(60)
    encoder.push(100, 40)
    timer.start()
    await clock.run(1000)
    // The look at 103 finds that more has come.
    assert.deepEqual(encoder.flushed, [{ at: 3, all: false }, { at: 106, all: false }, { at: 306, all: true }])
  })

  it('is not told from a page that goes on while QEMU is not read', async () => {
    const { clock, encoder, timer, way } = made()
    way.isPaused = true
    encoder.push(100, 50)
    timer.start()
    await clock.run(10_000)
    assert.ok(encoder.flushed.length > 10)
    assert.ok(encoder.flushed.every(({ all }) => !all))
    way.isPaused = false
    await clock.run(10_300)
    assert.equal(encoder.flushed.filter(({ all }) => all).length, 1)
  })

  it('is looked at four times, for a late timer says nothing of what has arrived meanwhile', async () => {
    const { clock, encoder, timer } = made()
    encoder.push(100, 50)
    timer.start()
    const before = clock.eventCount
    await clock.run(1000)
    assert.equal(clock.eventCount - before, 1 + 4)
  })
})
