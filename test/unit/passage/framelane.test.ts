import assert from 'node:assert/strict'
import fc from 'fast-check'

import type { Lane } from '../../../src/mesh/index.ts'
import { createLanePair } from '../../../src/mesh/memory/memorylane.ts'
import { FrameLane } from '../../../src/passage/framelane.ts'
import {
  ALIVE_KIND, FRAME_HEADER_BYTES, frameHeader, FrameReader, type FrameTable,
} from '../../../src/passage/frames.ts'
import { PASSAGE_FRAMES, type PassageFrame } from '../../../src/passage/wire.ts'
import { systemClock } from '../../../src/runtime/clock.ts'
import type { PagemeshError } from '../../../src/runtime/errors.ts'
import { SteppedClock } from '../../support/steppedclock.ts'

type Word = 'ask' | 'answer'
const TABLE: FrameTable<Word> = {
  ask: { kind: 1, bytesMin: 2, bytesMax: 5 },
  answer: { kind: 9, bytesMin: 0, bytesMax: 2 ** 20 },
}

interface Heard {
  frames: [Word, string][]
  lost: PagemeshError[]
}

function openLane(
  lane: Lane, clock = systemClock, words: { bytesPerSecondMax?: number; onFrame?: () => void } = {},
): Heard & { lane: FrameLane<Word> } {
  const heard: Heard = { frames: [], lost: [] }
  const opened = new FrameLane({ clock, lane }, {
    frames: TABLE,
    bytesPerSecondMax: words.bytesPerSecondMax ?? Infinity,
    onFrame: (name, body) => {
      words.onFrame?.()
      heard.frames.push([name, body.toString()])
    },
    onLost: (error) => heard.lost.push(error),
  })
  return { ...heard, lane: opened }
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => { setImmediate(resolve) })
}

describe('the frames of a lane', () => {
  it('come apart into the same ones, whatever the pieces', () => {
    const frame = fc.oneof(
      fc.tuple(fc.constant('ask' as const), fc.uint8Array({ minLength: 2, maxLength: 5 })),
      fc.tuple(fc.constant('answer' as const), fc.uint8Array({ maxLength: 300 })),
      fc.constant('alive' as const),
    )
    const many = fc.array(frame, { maxLength: 20 })
    fc.assert(fc.property(many, fc.integer({ min: 1, max: 400 }), (frames, pieceBytes) => {
      const bytes = Buffer.concat(frames.flatMap((each) => (each === 'alive'
        ? [frameHeader(ALIVE_KIND, 0)] : [frameHeader(TABLE[each[0]].kind, each[1].length), each[1]])))
      const read: [Word, Uint8Array][] = []
      const reader = new FrameReader(TABLE, (name, body) => read.push([name, new Uint8Array(body)]))
      for (let at = 0; at < bytes.length; at += pieceBytes) reader.push(bytes.subarray(at, at + pieceBytes))
      assert.deepEqual(read, frames.filter((each) => each !== 'alive'))
    }))
  })

  it('are refused by their header if they are of no kind, too long or too short', () => {
    const refused = (kind: number, bytes: number, why: RegExp): void => {
      const reader = new FrameReader(TABLE, () => {})
      assert.throws(() => reader.push(frameHeader(kind, bytes)), { code: 'bad-frame', message: why })
    }
    for (const kind of [0, 2, 99, 254]) refused(kind, 0, new RegExp(`kind ${kind} is unknown`))
    refused(1, 6, /ask frame of 6 bytes exceeds 5/)
    refused(1, 1, /ask frame of 1 bytes is shorter than 2/)
    refused(9, 2 ** 20 + 1, /answer frame .* exceeds/)
    refused(ALIVE_KIND, 1, /alive frame of 1 bytes exceeds 0/)
    for (const bytes of [2, 5]) new FrameReader(TABLE, () => {}).push(frameHeader(1, bytes))
  })

  it('have a kind of their own each', () => {
    const twice = { ask: TABLE.ask, answer: TABLE.ask }
    assert.throws(() => new FrameReader(twice, () => {}))
    assert.throws(() => new FrameReader({ ask: { ...TABLE.ask, kind: ALIVE_KIND } }, () => {}))
  })

  it('of a passage keep to the limits of their table', () => {
    for (const [name, { kind, bytesMin, bytesMax }] of Object.entries(PASSAGE_FRAMES)) {
      const push = (bytes: number): void => {
        new FrameReader<PassageFrame>(PASSAGE_FRAMES, () => {}).push(frameHeader(kind, bytes))
      }
      assert.throws(() => push(bytesMax + 1), { code: 'bad-frame' }, name)
      if (bytesMin > 0) assert.throws(() => push(bytesMin - 1), { code: 'bad-frame' }, name)
      push(bytesMax)
      assert.ok(bytesMax <= 2 ** 20)
    }
  })

  it('of a passage have numbers and limits that never change, as an agent of another version reads them', () => {
    const rules = Object.entries(PASSAGE_FRAMES).map(([name, rule]) => [name, ...Object.values(rule) as number[]])
    assert.deepEqual(rules, [
      ['batch', 1, 0, 524_288], ['missing', 2, 8, 4096], ['pages', 3, 5, 524_288], ['ack', 4, 4, 4],
      ['returned', 5, 1, 1_048_576], ['returnedEnd', 6, 0, 0], ['streamEnd', 7, 0, 0],
    ])
  })
})

describe('a lane of frames', () => {
  it('carries them in order, both ways', async () => {
    const [here, there] = createLanePair({ clock: systemClock }).map((lane) => openLane(lane)) as
      [ReturnType<typeof openLane>, ReturnType<typeof openLane>]
    for (let i = 10; i < 20; i++) void here.lane.send('ask', Buffer.from(`${i}`))
    await there.lane.send('answer', Buffer.from('a'), Buffer.alloc(0), Buffer.from('b'))
    await until(() => there.frames.length === 10 && here.frames.length === 1)
    assert.deepEqual(there.frames.map(([, body]) => Number(body)), [10, 11, 12, 13, 14, 15, 16, 17, 18, 19])
    assert.deepEqual(here.frames, [['answer', 'ab']])
    assert.equal(here.lane.sentBytes, 70)
    assert.equal(here.lane.receivedBytes, 7)
    here.lane.destroy()
    there.lane.destroy()
    assert.deepEqual([here.lost, there.lost], [[], []])
  })

  it('sends what is queued before it closes, which is no loss to who expects it', async () => {
    const [near, far] = createLanePair({ clock: systemClock })
    const [here, there] = [openLane(near), openLane(far)]
    there.lane.complete()
    void here.lane.send('answer', Buffer.alloc(2 ** 20))
    void here.lane.send('ask', Buffer.from('end'))
    here.lane.complete()
    await here.lane.close()
    await far.closed
    assert.deepEqual(there.frames.map(([name]) => name), ['answer', 'ask'])
    assert.deepEqual([here.lost, there.lost], [[], []])
  })

  it('still sends after it is complete', async () => {
    const [near, far] = createLanePair({ clock: systemClock })
    const [here, there] = [openLane(near), openLane(far)]
    here.lane.complete()
    await here.lane.send('ask', Buffer.from('now'))
    await until(() => there.frames.length === 1)
    here.lane.destroy()
    there.lane.destroy()
  })

  it('is lost to who did not expect that it closes', async () => {
    const [near, far] = createLanePair({ clock: systemClock })
    const [here, there] = [openLane(near), openLane(far)]
    here.lane.destroy()
    await until(() => there.lost.length > 0)
    assert.equal(there.lost[0]!.code, 'lane-lost')
    await there.lane.send('ask', Buffer.from('to nobody'))
    await there.lane.close()
    assert.equal(there.lost.length, 1)
    assert.deepEqual(here.lost, [])
  })

  it('is lost once with what a frame was refused for, and hands on nothing behind it', async () => {
    const [near, far] = createLanePair({ clock: systemClock })
    const there = openLane(far)
    near.receive(() => {})
    near.write(Buffer.concat([
      frameHeader(1, 2), Buffer.from('ok'), frameHeader(1, 100), frameHeader(1, 2), Buffer.from('no'),
    ]))
    await until(() => there.lost.length > 0)
    assert.deepEqual(there.frames, [['ask', 'ok']])
    assert.deepEqual(there.lost.map(({ code }) => code), ['bad-frame'])
    await near.closed
  })

  it('is lost if a frame cannot be handled, with the reason', async () => {
    const [near, far] = createLanePair({ clock: systemClock })
    const here = openLane(near)
    const fault = new Error('a fault of ours')
    const there = openLane(far, systemClock, { onFrame: () => { throw fault } })
    void here.lane.send('ask', Buffer.from('ab'))
    void here.lane.send('ask', Buffer.from('cd'))
    await until(() => there.lost.length > 0 && here.lost.length > 0)
    assert.equal(there.lost.length, 1)
    assert.equal(there.lost[0]!.code, 'lane-lost')
    assert.equal(there.lost[0]!.cause, fault)
  })

  it('is kept by signs of life, and given up after 5 s of silence', async () => {
    const clock = new SteppedClock()
    const [near, far] = createLanePair({ clock })
    const [here, there] = [openLane(near, clock), openLane(far, clock)]
    await clock.until(() => clock.now() > 60_000)
    assert.deepEqual([here.lost, there.lost], [[], []])
    here.lane.destroy()
    there.lane.destroy()

    const [one, other] = createLanePair({ clock })
    const silentFrom = clock.now()
    const alone = openLane(one, clock)
    other.receive(() => {})
    await clock.until(() => alone.lost.length > 0)
    assert.match(alone.lost[0]!.message, /nothing arrived for 5 s/)
    assert.ok(clock.now() - silentFrom > 5000 && clock.now() - silentFrom <= 7000, `${clock.now() - silentFrom}`)
    await other.closed
    assert.equal(alone.lost.length, 1)
  })

  it('closes, and loses nothing, if it is complete and silent', async () => {
    const clock = new SteppedClock()
    const [one, other] = createLanePair({ clock })
    const alone = openLane(one, clock)
    other.receive(() => {})
    alone.lane.complete()
    let isClosed = false
    void one.closed.then(() => { isClosed = true })
    await clock.until(() => isClosed)
    assert.deepEqual(alone.lost, [])
  })

  it('sends no faster than it may', async () => {
    const clock = new SteppedClock()
    const [near, far] = createLanePair({ clock })
    const here = openLane(near, clock, { bytesPerSecondMax: 2 ** 20 })
    const there = openLane(far, clock)
    const begunAt = clock.now()
    for (let i = 0; i < 4; i++) void here.lane.send('answer', Buffer.alloc(2 ** 20))
    await clock.until(() => there.frames.length === 4)
    const elapsedMs = clock.now() - begunAt
    assert.ok(elapsedMs > 3700 && elapsedMs < 4500, `${elapsedMs}`)
    assert.deepEqual([here.lost, there.lost], [[], []])
    assert.deepEqual(there.frames.map(([name, body]) => [name, body.length]), Array(4).fill(['answer', 2 ** 20]))
    // What waits is a sign of life itself: no others queue up behind it.
    assert.equal(near.sentBytes, 4 * (FRAME_HEADER_BYTES + 2 ** 20))
    await here.lane.close()
    assert.ok(near.sentBytes <= 4 * (FRAME_HEADER_BYTES + 2 ** 20) + FRAME_HEADER_BYTES, `${near.sentBytes}`)
    here.lane.destroy()
    there.lane.destroy()
  })
})
