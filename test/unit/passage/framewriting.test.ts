import assert from 'node:assert/strict'

import { FrameLane } from '../../../src/passage/framelane.ts'
import { ALIVE_KIND, frameHeader, type FrameTable } from '../../../src/passage/frames.ts'
import type { PagemeshError } from '../../../src/runtime/errors.ts'
import { settle } from '../../support/passagerelay.ts'
import { VirtualClock } from '../../support/time.ts'
import { PlayedLane } from './playedways.ts'

type Word = 'ask' | 'answer'
const TABLE: FrameTable<Word> = {
  ask: { kind: 1, bytesMin: 2, bytesMax: 5 },
  answer: { kind: 9, bytesMin: 0, bytesMax: 2 ** 20 },
}
const ALIVE = frameHeader(ALIVE_KIND, 0)
const KIB = 1024

interface Opened {
  clock: VirtualClock
  lane: PlayedLane
  frames: FrameLane<Word>
  lost: PagemeshError[]
  heard: string[]
}

function open(bytesPerSecondMax = Infinity): Opened {
  const clock = new VirtualClock()
  const lane = new PlayedLane()
  const lost: PagemeshError[] = []
  const heard: string[] = []
  const frames = new FrameLane<Word>({ clock, lane }, {
    frames: TABLE, bytesPerSecondMax, onFrame: (name, body) => heard.push(`${name} ${body.toString()}`),
    onLost: (error) => lost.push(error),
  })
  return { clock, lane, frames, lost, heard }
}

/** The lane hears that its other end lives, every second, until so long has passed. */
async function live({ clock, lane }: Opened, untilMs: number): Promise<void> {
  while (clock.now() < untilMs) {
    await clock.run(Math.min(untilMs, clock.now() + 1000))
    lane.deliver(ALIVE)
  }
}

describe('a frame on a lane', () => {
  it('leaves in one piece, its header first', async () => {
    const { frames, lane } = open()
    await frames.send('answer', Buffer.from('a'), Buffer.alloc(0), Buffer.from('bc'))
    assert.deepEqual(lane.told, ['cork', 'write 5', 'write 1', 'write 2', 'uncork'])
    assert.ok(lane.written.equals(Buffer.concat([Buffer.from('0000000309', 'hex'), Buffer.from('abc')])))
  })

  it('waits until the one before has found room, and so does whoever sends it', async () => {
    const { frames, lane } = open()
    lane.hasRoom = false
    let sent = 0
    for (const text of ['ab', 'cd']) void frames.send('ask', Buffer.from(text)).then(() => { sent += 1 })
    await settle(3)
    assert.deepEqual([lane.told, sent], [['cork', 'write 5', 'write 2', 'uncork', 'drained'], 0])
    lane.drain()
    await settle(3)
    assert.equal(sent, 1)
    lane.drain()
    await settle(3)
    assert.equal(sent, 2)
  })

  it('leaves in pieces of 10 ms where it may not go as fast as it likes; nothing is held back meanwhile', async () => {
    const opened = open(6400 * KIB)
    const { frames, lane } = opened
    await frames.send('answer', Buffer.alloc(64 * KIB - 5))
    assert.deepEqual(lane.told.splice(0), ['cork', 'write 5', `write ${64 * KIB - 5}`, 'uncork'])
    let isSent = false
    void frames.send('answer', Buffer.alloc(130 * KIB)).then(() => { isSent = true })
    await live(opened, 1000)
    assert.ok(isSent)
    const pieces = [['write 5', `write ${64 * KIB - 5}`], [`write ${64 * KIB}`], [`write ${2 * KIB + 5}`]]
    const expected = pieces.flatMap((piece) => ['cork', ...piece, 'uncork'])
    assert.deepEqual(lane.told.slice(0, expected.length), expected)
  })

  it('is cut where the lane is given up while it waits', async () => {
    const opened = open(64 * KIB)
    const { frames, lane, clock } = opened
    void frames.send('answer', Buffer.alloc(256 * KIB))
    void frames.send('ask', Buffer.from('ab'))
    await live(opened, 1000)
    const { length } = lane.written
    assert.ok(length > 64 * KIB && length < 256 * KIB)
    frames.destroy()
    await clock.run(60_000)
    assert.equal(lane.written.length, length)
    assert.equal(clock.pendingCount, 0)
  })

  it('goes in pieces of a kilobyte, not smaller, at the slowest rates', async () => {
    const opened = open(1000)
    void opened.frames.send('answer', Buffer.alloc(2 * KIB - 5))
    await live(opened, 5000)
    assert.deepEqual(opened.lane.told.slice(0, 6), ['cork', 'write 5', 'write 1019', 'uncork', 'cork', 'write 1024'])
  })

  it('leaves before its sender goes on, where nothing is queued and the rate allows it', async () => {
    for (const rate of [Infinity, 2 ** 30]) {
      const { frames, lane } = open(rate)
      void frames.send('ask', Buffer.from('ab'))
      assert.deepEqual([lane.written.length, frames.queuedBytes], [7, 7])
      await settle(1)
      assert.equal(frames.queuedBytes, 0)
    }
  })

  it('is counted as queued until the throttle and the lane let it go', async () => {
    const opened = open(100_000)
    const { frames, lane, clock } = opened
    lane.hasRoom = false
    void frames.send('answer', Buffer.alloc(4000))
    void frames.send('ask', Buffer.from('ab'))
    assert.equal(frames.queuedBytes, 4005 + 7)
    await clock.run(500)
    assert.equal(frames.queuedBytes, 4005 + 7)
    lane.drain()
    await clock.run(600)
    assert.equal(frames.queuedBytes, 7)
    lane.drain()
    await settle(3)
    assert.equal(frames.queuedBytes, 0)
  })

  it('counts against the rate with its header, so that small ones are no way around it', async () => {
    const opened = open(1000)
    const { frames, lane } = opened
    for (let i = 0; i < 1000; i++) void frames.send('ask', Buffer.from('ab'))
    await live(opened, 5000)
    assert.ok(lane.written.length < 5200, `${lane.written.length}`)
  })
})

describe('an end of a lane', () => {
  it('says every second that it lives, while nothing else is on its way', async () => {
    const opened = open()
    const { frames, lane } = opened
    await live(opened, 999)
    assert.deepEqual(lane.told, [])
    await live(opened, 1000)
    assert.ok(lane.written.equals(ALIVE))
    lane.hasRoom = false
    void frames.send('ask', Buffer.from('ab'))
    await live(opened, 4000)
    assert.equal(lane.written.length, 12)
    lane.hasRoom = true
    lane.drain()
    await live(opened, 5000)
    assert.ok(lane.written.subarray(-5).equals(ALIVE))
    assert.equal(lane.written.length, 17)
  })

  it('gives the lane up when nothing has come for more than five seconds', async () => {
    const { clock, lane, lost } = open()
    await clock.run(1500)
    lane.deliver(ALIVE)
    await clock.run(6999)
    assert.equal(lost.length, 0)
    await clock.run(7000)
    assert.match(lost[0]!.message, /nothing arrived for 5 s\.$/)
    assert.deepEqual([lost[0]!.code, lost[0]!.phase, lost[0]!.cause], ['lane-lost', 'handoff', undefined])
    assert.equal(lane.told.at(-1), 'destroy')
    assert.equal(clock.pendingCount, 0)
  })

  it('is not lost when what it heard is exactly five seconds old', async () => {
    const { clock, lost } = open()
    await clock.run(5000)
    assert.deepEqual(lost, [])
    await clock.run(6000)
    assert.equal(lost.length, 1)
  })

  it('is lost for what closed the lane, or did not let it be written', async () => {
    const closed = open()
    const fault = new Error('reset by the peer')
    closed.lane.close(fault)
    await settle(2)
    assert.deepEqual(closed.lost.map(({ message, cause }) => [/it was closed/.test(message), cause]), [[true, fault]])
    const plain = open()
    plain.lane.close()
    await settle(2)
    assert.ok(plain.lost.length === 1 && !('cause' in plain.lost[0]!))
    const full = open()
    full.lane.hasRoom = false
    void full.frames.send('ask', Buffer.from('ab'))
    await settle(2)
    full.lane.drain(fault)
    await settle(2)
    assert.deepEqual(
      full.lost.map(({ message, cause }) => [/it could not be written/.test(message), cause]), [[true, fault]],
    )
  })

  it('hears nothing behind what ended it', async () => {
    const { frames, lane, heard, lost } = open()
    const ask = Buffer.concat([frameHeader(1, 2), Buffer.from('ab')])
    lane.deliver(ask)
    frames.destroy()
    lane.deliver(ask)
    lane.deliver(frameHeader(77, 0))
    assert.deepEqual([heard, lost], [['ask ab'], []])
  })

  it('closes when all that is queued has left, and takes nothing more', async () => {
    const { clock, frames, lane, lost } = open()
    lane.hasRoom = false
    void frames.send('ask', Buffer.from('ab'))
    let isClosed = false
    const closing = frames.close().then(() => { isClosed = true })
    await settle(3)
    assert.ok(!lane.told.includes('end'))
    lane.ending = new Promise((resolve) => { setImmediate(resolve) })
    lane.drain()
    await closing
    assert.ok(isClosed)
    const { length } = lane.told
    await frames.send('ask', Buffer.from('cd'))
    await frames.close()
    assert.deepEqual(lane.told.slice(length), [])
    assert.deepEqual([lane.told.at(-1), lost, clock.pendingCount], ['end', [], 0])
  })

  it('is closed once the lane is, even if that ends it badly', async () => {
    const { frames, lane, lost } = open()
    let end: (error: Error) => void = () => {}
    lane.ending = new Promise((_resolve, reject) => { end = reject })
    let isClosed = false
    const closing = frames.close().then(() => { isClosed = true })
    await settle(3)
    assert.ok(!isClosed)
    end(new Error('stalled'))
    await closing
    lane.close(new Error('stalled'))
    await settle(2)
    assert.deepEqual(lost, [])
  })

  it('loses nothing that it expects no more', async () => {
    const { clock, frames, lane, lost } = open()
    frames.complete()
    await clock.run(10_000)
    assert.deepEqual([lost, lane.told.at(-1)], [[], 'destroy'])
  })
})
