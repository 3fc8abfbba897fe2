import assert from 'node:assert/strict'

import { PAGE_BYTES, unpack } from '../../../src/page/index.ts'
import { unpackBatch } from '../../../src/passage/decoder.ts'
import { WINDOW_BATCHES_MAX } from '../../../src/passage/window.ts'
import { page, prefixesOf } from '../../support/madepages.ts'
import {
  assertFailed, playedIncoming, settle, u32, until, type OutgoingEnd, type PlayedEnd,
} from '../../support/passagerelay.ts'
import { SteppedClock } from '../../support/steppedclock.ts'
import { postcopyStream, precopyStream } from '../../support/streambuilder.ts'

const MIB = 2 ** 20
const REFS = [1, 2, 3].map(page)

function streamOf(count: number): Buffer {
  const pages = Array.from({ length: count }, (_, i) => page(i))
  return Buffer.from(precopyStream([{ name: 'pc.ram', pages }]).bytes)
}

/** An outgoing end that has sent a batch with refs to the pages of `REFS`. */
async function withBatch(): Promise<{ end: OutgoingEnd; played: PlayedEnd; stream: Buffer }> {
  const { end, played } = playedIncoming({ init: { known: prefixesOf(REFS) } })
  const stream = streamOf(4)
  end.qemu.write(stream)
  await until(() => played.of('batch').length > 0 && end.passage.counts().streamBytes === stream.length)
  return { end, played, stream }
}

describe('a frame that the outgoing end does not expect fails the passage:', () => {
  it('frames of the other direction', async () => {
    for (const name of ['batch', 'pages', 'streamEnd'] as const) {
      const { end, played } = playedIncoming()
      played.send(name, Buffer.alloc(name === 'pages' ? 5 : 0))
      await assertFailed(end, played, new RegExp(`${name} while the stream is streaming and the return path is ret`))
    }
  })

  it('an ack of a batch that is not on its way', async () => {
    const none = playedIncoming()
    none.played.send('ack', u32(0))
    await assertFailed(none.end, none.played, /ack of batch 0, which is not on its way, while the stream is streaming/)
    const { end, played } = await withBatch()
    played.send('ack', u32(0))
    await settle()
    assert.deepEqual(end.said.errors, [])
    played.send('ack', u32(0))
    await assertFailed(end, played, /ack of batch 0, which is not on its way/)
  })

  it('an ack out of order', async () => {
    const { end, played } = playedIncoming()
    end.qemu.write(streamOf(200))
    await until(() => played.of('batch').length >= 3)
    played.send('ack', u32(1))
    await assertFailed(end, played, /ack of batch 1 where 0 was due/)
  })

  it('missing pages of a batch that is not on its way, or a second time', async () => {
    const none = playedIncoming()
    none.played.send('missing', u32(0, 0))
    await assertFailed(none.end, none.played, /missing pages of batch 0, which is not on its way/)
    const { end, played } = await withBatch()
    played.send('missing', u32(0, 2))
    await until(() => played.of('pages').length === 1)
    played.send('missing', u32(0, 2))
    await assertFailed(end, played, /missing pages of batch 0 a second time/)
  })

  it('missing pages that the batch does not refer to', async () => {
    for (const [body, why] of [
      [u32(0, 3), /does not refer to/], [Buffer.concat([u32(0, 1), Buffer.alloc(1)]), /cut short/],
      [u32(0, 0, 0, 0, 0), /4 pages of batch 0, which has fewer refs/],
    ] as const) {
      const { end, played } = await withBatch()
      played.send('missing', body)
      await assertFailed(end, played, why)
    }
  })

  it('anything of the return path behind its end', async () => {
    for (const name of ['returned', 'returnedEnd'] as const) {
      const { end, played } = playedIncoming()
      played.send('returned', Buffer.from('abc'))
      played.send('returnedEnd')
      await until(() => end.qemu.hasHeardEnd)
      assert.equal(end.qemu.received.toString(), 'abc')
      played.send(name, Buffer.alloc(name === 'returned' ? 1 : 0))
      await assertFailed(end, played, new RegExp(`${name} while the stream is streaming and the return path is ending`))
    }
  })
})

describe('the outgoing end of a passage', () => {
  it('gives back the pages that are missing, in the order in which they are asked for', async () => {
    const { end, played } = await withBatch()
    const [body] = played.of('batch')
    assert.equal(unpackBatch(body!).header.refs, 3)
    played.send('missing', u32(0, 2, 0, 1))
    await until(() => played.of('pages').length === 1)
    const [pages] = played.of('pages')
    assert.equal(pages!.readUInt32BE(0), 0)
    assert.ok(unpack(pages!.subarray(4), 3 * PAGE_BYTES).equals(Buffer.concat([REFS[2]!, REFS[0]!, REFS[1]!])))
    end.passage.stop()
  })

  it('takes 8 MiB of a source whose batches nobody acknowledges, and more once they are', async () => {
    // Time stands still, so that no batch leaves before it is full: the window would be full of small ones.
    const { end, played } = playedIncoming({ clock: new SteppedClock() })
    end.qemu.write(streamOf(3000))
    await until(() => end.passage.counts().streamBytes >= 7.5 * MIB)
    await settle(200)
    assert.ok(end.passage.counts().streamBytes < 8.5 * MIB, `${end.passage.counts().streamBytes}`)
    const sent = played.of('batch').length
    played.send('ack', u32(0))
    await until(() => played.of('batch').length > sent)
    await settle(100)
    assert.ok(end.passage.counts().streamBytes < 9 * MIB)
    for (let sequence = 1; end.passage.counts().streamBytes < 10 * MIB; sequence++) {
      await until(() => played.of('batch').length > sequence)
      played.send('ack', u32(sequence))
    }
    end.passage.stop()
  })

  it('takes half of it in post-copy, and in one that goes on', async () => {
    const memory = [{ name: 'pc.ram', pages: Array.from({ length: 3000 }, (_, i) => page(i)) }]
    const empty = [{ name: 'pc.ram', pages: Array.from({ length: 3000 }, () => undefined) }]
    const stream = postcopyStream(empty, memory).bytes
    const clock = new SteppedClock()
    const { end, played } = playedIncoming({ clock })
    end.qemu.write(stream)
    await until(() => end.passage.counts().streamBytes >= 2 * MIB)
    await settle(200)
    assert.ok(end.passage.counts().streamBytes < 2.5 * MIB, `${end.passage.counts().streamBytes}`)
    const recovered = playedIncoming({ clock, init: { continuation: end.passage.knowledge() } })
    // Nothing that says by itself that this is a post-copy.
    recovered.end.qemu.write(Buffer.alloc(8 * MIB, 1))
    await until(() => recovered.end.passage.counts().streamBytes >= 2 * MIB)
    await settle(200)
    assert.ok(recovered.end.passage.counts().streamBytes < 2.5 * MIB)
    assert.equal(played.isClosed, false)
    end.passage.stop()
    recovered.end.passage.stop()
  })

  it('sends at once in post-copy what QEMU wrote: a processor waits for it', async () => {
    const memory = [{ name: 'pc.ram', pages: [page(1)] }]
    const first = playedIncoming()
    const stream = postcopyStream(memory, memory).bytes
    first.end.qemu.write(stream)
    await until(() => first.end.passage.counts().streamBytes === stream.length)
    const continuation = first.end.passage.knowledge()
    first.end.passage.stop()
    const clock = new SteppedClock()
    for (const init of [{ continuation }, {}]) {
      const { end, played } = playedIncoming({ clock, init })
      end.qemu.write(Buffer.alloc(100, 1))
      await until(() => end.passage.counts().streamBytes === 100)
      await settle(50)
      assert.equal(played.of('batch').length, 'continuation' in init ? 1 : 0)
      end.passage.stop()
    }
    assert.equal(clock.now(), 0)
  })

  it('takes no more than so many batches, however small', async () => {
    const clock = new SteppedClock()
    const { end, played } = playedIncoming({ clock })
    // Each piece is flushed by itself once QEMU pauses.
    let written = 0
    const next = clock.every(10, () => {
      end.qemu.write(Buffer.alloc(1, 1))
      written += 1
      played.send('returned', Buffer.alloc(1))
    })
    await clock.until(() => written === 2 * WINDOW_BATCHES_MAX)
    next.cancel()
    await settle()
    assert.equal(played.of('batch').length, WINDOW_BATCHES_MAX)
    end.passage.stop()
  })

  it('sends within 10 ms what QEMU wrote last, and the beginning of a page after 200 ms', async () => {
    const clock = new SteppedClock()
    const { end, played } = playedIncoming({ clock })
    const stream = streamOf(2)
    const begin = stream.indexOf(page(0))
    end.qemu.write(stream.subarray(0, begin + 100))
    await clock.until(() => played.of('batch').length === 1)
    assert.ok(clock.now() <= 10, `${clock.now()} ms`)
    assert.equal(played.of('batch')[0]!.readUInt32BE(4), begin)
    await clock.until(() => played.of('batch').length === 2)
    assert.ok(clock.now() >= 200 && clock.now() <= 220, `${clock.now()} ms`)
    assert.equal(played.of('batch')[1]!.readUInt32BE(4), 100)
    end.passage.stop()
  })

  it('says streamEnd behind all batches, and ends when they are acknowledged and the way back has ended', async () => {
    const { end, played, stream } = await withBatch()
    end.qemu.endpoint.end()
    await until(() => played.of('streamEnd').length === 1)
    assert.equal(played.frames.at(-1)!.name, 'streamEnd')
    const bytes = played.of('batch').reduce((sum, body) => sum + body.readUInt32BE(4), 0)
    assert.equal(bytes, stream.length)
    played.send('returnedEnd')
    await until(() => end.qemu.hasHeardEnd)
    await settle()
    assert.ok(!end.said.words.includes('ended'))
    for (let sequence = 0; sequence < played.of('batch').length; sequence++) played.send('ack', u32(sequence))
    await until(() => end.said.words.includes('ended'))
    await until(() => played.isClosed)
    assert.deepEqual(end.said.errors, [])
  })

  it('names the state of a stream that has ended', async () => {
    const { end, played } = playedIncoming()
    end.qemu.endpoint.end()
    await until(() => played.of('streamEnd').length === 1)
    played.send('ack', u32(0))
    await assertFailed(end, played, /ack of batch 0, .* while the stream is ended and the return path is returning/)
  })

  it('lets a slow link carry no more than it may', async () => {
    const clock = new SteppedClock()
    const { end, played } = playedIncoming({ clock, init: { bytesPerSecondMax: MIB, compression: 'never' } })
    const alive = clock.every(1000, () => played.send('returned', Buffer.alloc(1)))
    end.qemu.write(streamOf(500))
    await clock.until(() => end.passage.counts().sentBytes > 1.5 * MIB)
    assert.ok(clock.now() > 1300 && clock.now() < 2500, `${clock.now()}`)
    alive.cancel()
    end.passage.stop()
  })
})

describe('the outgoing end fails', () => {
  it('when its lane falls silent', async () => {
    const clock = new SteppedClock()
    const { end, played } = playedIncoming({ clock })
    await clock.until(() => end.said.errors.length > 0)
    assert.ok(clock.now() >= 5000 && clock.now() <= 7000)
    await assertFailed(end, played, /nothing arrived for 5 s/, 'lane-lost')
  })

  it('when its QEMU\'s connection breaks', async () => {
    const { end, played } = playedIncoming()
    end.qemu.endpoint.pause()
    played.send('returned', Buffer.from('never read'))
    await settle()
    end.qemu.endpoint.destroy()
    await assertFailed(end, played, /The source QEMU closed its migration connection too early/, 'qemu-connection-lost')
  })

  it('when its QEMU, which has ended the stream, does not take what comes back', async () => {
    const { end, played } = playedIncoming()
    end.qemu.endpoint.destroy()
    await until(() => played.of('streamEnd').length === 1)
    played.send('returned', Buffer.from('for nobody'))
    await assertFailed(end, played, /The source QEMU closed/, 'qemu-connection-lost')
  })
})
