import assert from 'node:assert/strict'

import { Window, WINDOW_BATCHES_MAX, WINDOW_STREAM_BYTES } from '../../../src/passage/window.ts'
import { VirtualClock } from '../../sim/time.ts'

const MIB = 2 ** 20

describe('the window', () => {
  it('is full at so many bytes of stream, and not one before', () => {
    const window = new Window({ clock: new VirtualClock() })
    window.add(0, WINDOW_STREAM_BYTES - 1, 1)
    assert.equal(window.isFull, false)
    window.add(1, 1, 1)
    assert.equal(window.isFull, true)
    assert.equal(window.acknowledge(1), true)
    assert.equal(window.isFull, false)
    assert.equal(window.acknowledge(0), true)
    assert.ok(window.isEmpty)
  })

  it('refuses what is not in it', () => {
    const window = new Window({ clock: new VirtualClock() })
    assert.equal(window.acknowledge(0), false)
    window.add(0, 1, 1)
    assert.equal(window.acknowledge(1), false)
    assert.equal(window.acknowledge(0), true)
    assert.equal(window.acknowledge(0), false)
    assert.equal(window.isFull, false)
  })

  it('is full at so many batches, however small', () => {
    const window = new Window({ clock: new VirtualClock() })
    for (let sequence = 0; sequence < WINDOW_BATCHES_MAX; sequence++) {
      assert.equal(window.isFull, false)
      window.add(sequence, 1, 1)
    }
    assert.equal(window.isFull, true)
    window.acknowledge(3)
    assert.equal(window.isFull, false)
  })

  it('is half as large in post-copy', () => {
    const window = new Window({ clock: new VirtualClock() })
    window.add(0, 2 * MIB, 1)
    assert.equal(window.isFull, false)
    window.narrowForPostcopy()
    assert.equal(window.isFull, true)
  })

  it('holds what was delivered in 50 ms lately, between 2 and 8 MiB on the wire', async () => {
    const clock = new VirtualClock()
    const window = new Window({ clock })
    // One that stays, so that the window is never empty: then it would measure anew.
    window.add(9999, 1, 0)
    /** Acknowledges batches of so many bytes, one every 10 ms, for a second. */
    const deliver = async (bytes: number): Promise<void> => {
      for (let i = 0; i < 100; i++) {
        window.add(i, 1, bytes)
        await clock.complete(clock.sleep(10))
        window.acknowledge(i)
      }
    }
    /** Bytes on the wire for which there is room. */
    const room = (): number => {
      let halves = 0
      for (; !window.isFull; halves++) window.add(5000 + halves, 1, MIB / 2)
      for (let i = 0; i < halves; i++) window.acknowledge(5000 + i)
      return halves / 2
    }
    assert.equal(room(), 2)
    await deliver(MIB)
    assert.ok(room() >= 4.5 && room() <= 5.5, `${room()}`)
    await deliver(10 * MIB)
    assert.equal(room(), 8)
    await deliver(1000)
    assert.equal(room(), 2)
  })
})
