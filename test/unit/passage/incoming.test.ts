import assert from 'node:assert/strict'

import { PAGE_BYTES, type PageSource } from '../../../src/page/index.ts'
import { BATCH_HEADER_BYTES } from '../../../src/passage/batch.ts'
import { bodyOf, encode, NOTHING, page, prefixesOf, sourceWith } from '../../support/madepages.ts'
import {
  assertFailed, playedOutgoing, settle, u32, until, type EndOptions, type IncomingEnd, type PlayedEnd,
} from '../../support/passagerelay.ts'
import { SteppedClock } from '../../support/steppedclock.ts'
import { precopyStream } from '../../support/streambuilder.ts'

const MIB = 2 ** 20
const REFS = [1, 2, 3].map(page)
const STREAM = Buffer.from(precopyStream([{ name: 'pc.ram', pages: [0, 1, 2, 3].map(page) }]).bytes)

/** The stream as batches: in one, or cut where the second page begins. */
function bodies(known = NOTHING, cuts: readonly number[] = [STREAM.length]): Buffer[] {
  return encode(STREAM, known, cuts, [true]).map(bodyOf)
}

/** An incoming end that was sent refs that it lacks, and has asked for them. */
async function withMissing(options: EndOptions = {}): Promise<{ end: IncomingEnd; played: PlayedEnd }> {
  const { end, played } = playedOutgoing({ sources: [sourceWith([REFS[1]!])], ...options })
  for (const body of bodies(prefixesOf(REFS))) played.send('batch', body)
  await until(() => played.of('missing').length === 1)
  return { end, played }
}

describe('a frame that the incoming end does not expect fails the passage:', () => {
  it('frames of the other direction', async () => {
    for (const [name, body] of [
      ['ack', u32(0)], ['missing', u32(0, 0)], ['returned', u32(0)], ['returnedEnd', Buffer.alloc(0)],
    ] as const) {
      const { end, played } = playedOutgoing()
      played.send(name, body)
      await assertFailed(end, played, new RegExp(`${name} while the stream is streaming and the return path is ret`))
    }
  })

  it('a batch or an end behind the stream\'s end', async () => {
    const [body] = bodies()
    for (const [name, part] of [['batch', body!], ['streamEnd', Buffer.alloc(0)]] as const) {
      const { end, played } = playedOutgoing()
      played.send('streamEnd')
      played.send(name, part)
      await assertFailed(end, played, new RegExp(`${name} while the stream is ended and the return path is returning`))
      assert.equal(end.qemu.received.length, 0)
    }
  })

  it('a batch out of order', async () => {
    const both = bodies(NOTHING, [5000])
    const { end, played } = playedOutgoing()
    played.send('batch', both[1])
    await assertFailed(end, played, /batch 1 came where 0 was due/)
    assert.equal(end.qemu.received.length, 0)
  })

  it('pages that nobody asked for, or a second time', async () => {
    const none = playedOutgoing()
    none.played.send('pages', Buffer.concat([u32(0), REFS[0]!]))
    await assertFailed(none.end, none.played, /pages for batch 0, which were not asked for, while the stream is str/)
    const { end, played } = await withMissing()
    const pages = Buffer.concat([u32(0), REFS[0]!, REFS[2]!])
    played.send('pages', pages)
    played.send('pages', pages)
    await assertFailed(end, played, /pages for batch 0, which were not asked for/)
  })

  it('more batches than the window allows, but not as many in turn', async () => {
    const empty = encode(Buffer.alloc(400, 1), NOTHING, [1], [true]).map(bodyOf)
    assert.equal(empty.length, 400)
    const { end, played } = playedOutgoing()
    for (let sequence = 0; sequence < 400; sequence += 100) {
      for (const body of empty.slice(sequence, sequence + 100)) played.send('batch', body)
      await until(() => played.of('ack').length === sequence + 100)
    }
    assert.equal(end.qemu.received.length, 400)
    end.passage.stop()
    // Of a source that does not answer nothing can be written.
    const waiting: PageSource = { kind: 'store', fill: () => new Promise(() => {}) }
    const other = playedOutgoing({ sources: [waiting] })
    const ones = Buffer.alloc(200, 1)
    const pieces = [STREAM.length, ...ones]
    const flood = encode(Buffer.concat([STREAM, ones]), prefixesOf(REFS), pieces, [true]).map(bodyOf)
    for (const body of flood.slice(0, 160)) other.played.send('batch', body)
    await settle()
    assert.deepEqual(other.end.said.errors, [])
    other.played.send('batch', flood[160])
    await assertFailed(other.end, other.played, /batch beyond the window while the stream is streaming/)
  })
})

describe('the incoming end of a passage', () => {
  it('acknowledges each batch in order, once QEMU took it', async () => {
    const { end, played } = playedOutgoing()
    const parts = bodies(NOTHING, [1000])
    for (const body of parts) played.send('batch', body)
    await until(() => played.of('ack').length === parts.length)
    assert.deepEqual(played.of('ack').map((body) => body.readUInt32BE(0)), [...parts.keys()])
    assert.ok(end.qemu.received.equals(STREAM))
    assert.equal(end.passage.counts().streamBytes, STREAM.length)
    end.passage.stop()
  })

  it('keeps the order where a later batch is complete before an earlier one', async () => {
    const { end, played } = await withMissing()
    const parts = bodies(prefixesOf(REFS))
    assert.equal(parts.length, 1)
    played.send('batch', encode(Buffer.alloc(2, 1), NOTHING, [1], [true]).map(bodyOf)[1])
    await settle()
    assert.equal(end.qemu.received.length, 0)
    played.send('pages', Buffer.concat([u32(0), REFS[0]!, REFS[2]!]))
    // What stands behind it was another stream's: its digest does not follow on.
    await assertFailed(end, played, /differs from what the source QEMU wrote/, 'digest-mismatch')
  })

  it('asks for what is missing once, and puts it in its place', async () => {
    const { end, played } = await withMissing()
    assert.deepEqual(played.of('missing'), [u32(0, 0, 2)])
    played.send('pages', Buffer.concat([u32(0), REFS[0]!, REFS[2]!]))
    await until(() => played.of('ack').length === 1)
    assert.ok(end.qemu.received.equals(STREAM))
    assert.equal(played.of('missing').length, 1)
    assert.equal(end.passage.counts().refsFilledBy.source, 2)
    end.passage.stop()
  })

  it('ends QEMU\'s stream only when it took all, and ends when QEMU did too', async () => {
    const { end, played } = await withMissing()
    played.send('streamEnd')
    await settle()
    assert.equal(end.qemu.hasHeardEnd, false)
    played.send('pages', Buffer.concat([u32(0), REFS[0]!, REFS[2]!]))
    await until(() => end.qemu.hasHeardEnd)
    assert.ok(end.qemu.received.equals(STREAM))
    assert.deepEqual(end.said.words, [])
    end.qemu.write(Buffer.from('SHUT'))
    end.qemu.endpoint.end()
    await until(() => end.said.words.length > 0 && played.isClosed)
    assert.deepEqual(played.frames.slice(-2).map(({ name }) => name), ['returned', 'returnedEnd'])
    assert.deepEqual(end.said.words, ['ended'])
  })

  it('reads no more of the way back than the lane takes, and loses nothing of it', async () => {
    const { end, played } = playedOutgoing()
    played.lane.pause()
    const bytes = Buffer.alloc(24 * MIB)
    for (let at = 0; at < bytes.length; at += 4) bytes.writeUInt32LE(at, at)
    let taken = 0
    for (let at = 0; at < bytes.length; at += MIB) {
      void end.qemu.endpoint.write(bytes.subarray(at, at + MIB)).then(() => { taken += MIB })
    }
    end.qemu.endpoint.end()
    await settle(300)
    assert.ok(taken < 10 * MIB, `${taken} bytes were taken`)
    played.lane.resume()
    await until(() => played.of('returnedEnd').length === 1)
    assert.ok(Buffer.concat(played.of('returned')).equals(bytes))
    end.passage.stop()
  })
})

describe('the incoming end fails, and gives QEMU nothing of the batch,', () => {
  it('when a literal, a raw byte or a ref is not what the digest says', async () => {
    const wholes = bodies(prefixesOf(REFS))
    const digest = Buffer.from(wholes[0]!)
    digest[8 + 31]! ^= 1
    const { end, played } = playedOutgoing({ sources: [sourceWith(REFS)] })
    played.send('batch', digest)
    await assertFailed(end, played, /differs from what the source QEMU wrote/, 'digest-mismatch')
    assert.equal(end.qemu.received.length, 0)
    assert.deepEqual(played.of('missing'), [], 'there is nothing to ask for')
  })

  it('but all of the batches before it', async () => {
    const parts = bodies(NOTHING, [1000])
    const { end, played } = playedOutgoing()
    for (const body of parts.slice(0, 4)) played.send('batch', body)
    await until(() => played.of('ack').length === 4)
    const given = end.qemu.received.length
    parts[4]![BATCH_HEADER_BYTES - 24 - 5]! ^= 1
    played.send('batch', parts[4])
    for (const body of parts.slice(5)) played.send('batch', body)
    await assertFailed(end, played, /differs from what/, 'digest-mismatch')
    assert.ok(given > 0 && end.qemu.received.length === given)
  })

  it('when pages that were asked back are wrong as well', async () => {
    for (const pages of [[REFS[2]!, REFS[0]!], [REFS[0]!, page(9)], [page(9), REFS[2]!]]) {
      const { end, played } = await withMissing()
      played.send('pages', Buffer.concat([u32(0), ...pages]))
      await assertFailed(end, played, /differs from what/, 'digest-mismatch')
      assert.equal(end.qemu.received.length, 0)
      assert.equal(played.of('missing').length, 1, 'nothing is asked for twice')
    }
  })

  it('when it is given fewer or more pages than it asked for', async () => {
    for (const pages of [[REFS[0]!], [...REFS]]) {
      const { end, played } = await withMissing()
      played.send('pages', Buffer.concat([u32(0), ...pages]))
      await assertFailed(end, played, /cannot be read/)
      assert.equal(end.qemu.received.length, 0)
    }
  })

  it('when pages that it asked for never come', async () => {
    const clock = new SteppedClock()
    const { end, played } = await withMissing({ clock })
    const alive = clock.every(1000, () => played.lane.write(Buffer.from('00000000ff', 'hex')))
    await clock.until(() => end.said.errors.length > 0)
    alive.cancel()
    assert.ok(clock.now() >= 60_000 && clock.now() < 63_000)
    await assertFailed(end, played, /did not send the missing pages again/, 'timeout')
    assert.equal(end.qemu.received.length, 0)
  })

  it('when its lane falls silent, or is cut while pages are asked back', async () => {
    const clock = new SteppedClock()
    const silent = playedOutgoing({ clock })
    await clock.until(() => silent.end.said.errors.length > 0)
    assert.ok(clock.now() >= 5000 && clock.now() <= 7000)
    await assertFailed(silent.end, silent.played, /nothing arrived for 5 s/, 'lane-lost')
    const { end, played } = await withMissing()
    played.lane.destroy()
    await assertFailed(end, played, /was lost/, 'lane-lost')
    assert.equal(end.qemu.received.length, 0)
  })

  it('when its QEMU closes before it took everything', async () => {
    const { end, played } = playedOutgoing()
    end.qemu.endpoint.destroy()
    await until(() => played.of('returnedEnd').length === 1)
    assert.deepEqual(end.said.errors, [], 'it may have loaded its guest')
    const [body] = bodies()
    played.send('batch', body)
    await assertFailed(end, played, /The destination QEMU closed its migration connection/, 'qemu-connection-lost')
    assert.equal(played.of('ack').length, 0)
  })

  it('when its QEMU\'s connection breaks', async () => {
    const { end, played } = playedOutgoing({ isReading: false })
    const [body] = bodies()
    played.send('batch', body)
    await until(() => played.of('ack').length === 1)
    end.qemu.endpoint.destroy()
    await assertFailed(end, played, /The destination QEMU closed/, 'qemu-connection-lost')
  })
})

describe('an incoming end whose QEMU may hang up', () => {
  it('acknowledges what still comes, and ends with its stream', async () => {
    const { end, played } = playedOutgoing({ mayHangUp: true })
    end.qemu.endpoint.destroy()
    await until(() => played.of('returnedEnd').length === 1)
    for (const body of bodies(NOTHING, [5000, STREAM.length - 5000])) played.send('batch', body)
    await until(() => played.of('ack').length === 2)
    assert.deepEqual([end.said.words, end.passage.counts().streamBytes], [[], 0])
    played.send('streamEnd')
    await until(() => played.isClosed)
    assert.deepEqual(end.said.words, ['ended'])
    assert.equal(played.of('returnedEnd').length, 1)
  })

  it('does the same where it breaks off what it is being given', async () => {
    const { end, played } = playedOutgoing({ mayHangUp: true, isReading: false })
    const [body] = bodies()
    played.send('batch', body)
    await until(() => played.of('ack').length === 1)
    end.qemu.endpoint.destroy()
    await until(() => played.of('returnedEnd').length === 1)
    played.send('streamEnd')
    await until(() => played.isClosed)
    assert.deepEqual(end.said.words, ['ended'])
  })

  it('fails all the same if the lane is lost, or a batch is wrong', async () => {
    const { end, played } = playedOutgoing({ mayHangUp: true })
    end.qemu.endpoint.destroy()
    await until(() => played.of('returnedEnd').length === 1)
    const [body] = bodies()
    body![body!.length - 1]! ^= 1
    played.send('batch', body)
    await until(() => played.isClosed)
    assert.equal(end.said.errors.length, 1)
  })
})

describe('stopping the incoming end', () => {
  it('tells the sources to stop, and closes both its legs without a word', async () => {
    const signals: AbortSignal[] = []
    const source: PageSource = {
      kind: 'store',
      fill: (_batch, signal) => new Promise((_resolve, reject) => {
        signals.push(signal)
        signal.addEventListener('abort', () => reject(signal.reason as Error))
      }),
    }
    const { end, played } = playedOutgoing({ sources: [source] })
    for (const body of bodies(prefixesOf(REFS))) played.send('batch', body)
    await until(() => signals.length > 0)
    end.passage.stop()
    end.passage.stop()
    assert.ok(signals[0]!.aborted)
    await until(() => played.isClosed && end.qemu.hasHeardEnd)
    await settle()
    assert.deepEqual(end.said.words, [])
    assert.deepEqual(played.of('missing'), [])
    assert.equal(end.qemu.received.length % PAGE_BYTES, 0)
  })
})
