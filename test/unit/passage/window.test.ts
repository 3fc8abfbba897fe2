import assert from 'node:assert/strict'

import { Window } from '../../../src/passage/window.ts'
import { VirtualClock } from '../../support/time.ts'

const MIB = 2 ** 20

describe('the window', () => {
  it('is full at so many bytes of stream, and not one before', () => {
    const window = new Window({ clock: new VirtualClock() })
    window.add(0, 8 * MIB - 1, 1)
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
    for (let sequence = 0; sequence < 40; sequence++) {
      assert.equal(window.isFull, false)
      window.add(sequence, 1, 1)
    }
    assert.equal(window.isFull, true)
    window.acknowledge(3)
    assert.equal(window.isFull, false)
  })

  it('is a quarter as large in post-copy', () => {
    const window = new Window({ clock: new VirtualClock() })
    window.add(0, 2 * MIB - 1, 1)
    window.add(1, 1, 1)
    assert.equal(window.isFull, false)
    window.narrowForPostcopy()
    assert.equal(window.isFull, true)
    window.acknowledge(1)
    assert.equal(window.isFull, false)
  })

  it('is measured over 100 ms in which something was on its way, to the byte', async () => {
    const clock = new VirtualClock()
    const window = new Window({ clock })
    /** Whether there is room for so many bytes on the wire, and for not one more. */
    const assertRoom = (bytes: number): void => {
      window.add(100, 1, bytes - 1)
      assert.equal(window.isFull, false)
      window.add(101, 1, 1)
      assert.equal(window.isFull, true)
      // At once: nothing of it counts as delivered.
      for (const sequence of [100, 101]) window.acknowledge(sequence)
    }
    /** Something is on its way for so long, and then so many bytes are delivered. */
    const deliver = async (bytes: number, ms: number): Promise<void> => {
      window.add(1, 1, bytes)
      await clock.run(clock.now() + ms)
      window.acknowledge(1)
    }
    assertRoom(2 * MIB)
    await deliver(10 * MIB, 99)
    assertRoom(2 * MIB)
    await deliver(10 * MIB, 100)
    assertRoom(5 * MIB)
    // While nothing was on its way nothing could be delivered.
    await clock.run(clock.now() + 60_000)
    await deliver(12 * MIB, 100)
    assertRoom(6 * MIB)
    await deliver(12 * MIB, 200)
    assertRoom(3 * MIB)
    await deliver(16 * MIB + 1000, 100)
    assertRoom(8 * MIB)
    await deliver(1000, 100)
    assertRoom(2 * MIB)
  })

  it('adds up what was delivered in a period, and begins the next with nothing', async () => {
    const clock = new VirtualClock()
    const window = new Window({ clock })
    // One that stays, so that there is always something on its way.
    window.add(0, 1, 0)
    for (const bytes of [3 * MIB, 4 * MIB]) {
      for (let i = 0; i < 2; i++) {
        window.add(1, 1, bytes)
        await clock.run(clock.now() + 50)
        window.acknowledge(1)
      }
      window.add(2, 1, bytes - 1)
      assert.equal(window.isFull, false)
      window.add(3, 1, 1)
      assert.equal(window.isFull, true)
      for (const sequence of [2, 3]) window.acknowledge(sequence)
      // What was acknowledged just now would count for the next period.
      await clock.run(clock.now() + 100)
      window.add(4, 1, 0)
      window.acknowledge(4)
    }
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

  it('tells what is known of the way: how full it is, what was sent and delivered, and how fast', async () => {
    const clock = new VirtualClock()
    const window = new Window({ clock })
    const none = { wireFill: 0, sentBytes: 0, deliveredBytes: 0, deliveredBytesPerSecond: undefined }
    assert.deepEqual(window.state(), none)
    window.add(0, MIB, MIB / 2)
    window.add(1, MIB, MIB)
    assert.deepEqual(window.state(), { ...none, wireFill: 3 / 4, sentBytes: 1.5 * MIB })
    await clock.run(50)
    window.acknowledge(0)
    await clock.run(200)
    window.acknowledge(1)
    assert.deepEqual(window.state(), {
      wireFill: 0, sentBytes: 1.5 * MIB, deliveredBytes: 1.5 * MIB, deliveredBytesPerSecond: 7.5 * MIB,
    })
  })
})
