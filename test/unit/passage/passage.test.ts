import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import fc from 'fast-check'

import { PAGE_BYTES } from '../../../src/page/index.ts'
import { page, prefixesOf, sourceWith } from '../../support/madepages.ts'
import { relay, settle, until } from '../../support/passagerelay.ts'
import { SteppedClock } from '../../support/steppedclock.ts'
import { postcopyStream, precopyStream, RUN_STATE } from '../../support/streambuilder.ts'

const SHUT = Buffer.from('0001000400000000', 'hex')

function streamOf(numbers: readonly number[]): Buffer {
  return Buffer.from(precopyStream([{ name: 'pc.ram', pages: [...numbers.map(page), undefined] }]).bytes)
}

function numbers(count: number, from = 0): number[] {
  return Array.from({ length: count }, (_, i) => from + i)
}

describe('a passage', () => {
  it('gives the destination what the source wrote, and the source what came back, and ends', async () => {
    const held = numbers(100).map(page)
    const { outgoing, incoming, lanes } = relay({ init: { known: prefixesOf(held) }, sources: [sourceWith(held)] })
    const stream = streamOf([...numbers(300), ...numbers(50, 150)])
    outgoing.qemu.write(stream)
    outgoing.qemu.endpoint.end()
    await until(() => incoming.qemu.hasHeardEnd)
    assert.ok(incoming.qemu.received.equals(stream))
    assert.deepEqual([outgoing.said.words, incoming.said.words], [['ramStart', 'ramEnd', `runState ${RUN_STATE}`], []])
    incoming.qemu.write(SHUT)
    incoming.qemu.endpoint.end()
    await until(() => outgoing.said.words.includes('ended') && incoming.said.words.includes('ended'))
    await until(() => outgoing.qemu.isClosed && incoming.qemu.isClosed)
    assert.ok(outgoing.qemu.received.equals(SHUT))
    assert.ok(outgoing.qemu.hasHeardEnd)
    await Promise.all(lanes.map((lane) => lane.closed))
    await settle()
    assert.equal(outgoing.said.words.at(-1), 'ended')
    assert.deepEqual(incoming.said.words, ['ended'])

    const { streamBytes, ref, literal, sentBefore, zero, sentBytes, receivedBytes, literalWireBytes } =
      outgoing.passage.counts()
    assert.deepEqual({ streamBytes, ref, literal, sentBefore, zero }, {
      streamBytes: stream.length, ref: 100, literal: 200, sentBefore: 50, zero: 1,
    })
    assert.ok(literalWireBytes > 0 && literalWireBytes < 200 * PAGE_BYTES)
    const counts = incoming.passage.counts()
    assert.equal(counts.streamBytes, stream.length)
    assert.deepEqual(counts.refsFilledBy, { sentBefore: 50, resident: 100, store: 0, peer: 0, source: 0 })
    assert.deepEqual([counts.sentBytes, counts.receivedBytes], [receivedBytes, sentBytes])
    // Once it has ended nothing is left to stop.
    outgoing.passage.stop()
    incoming.passage.stop()
  })

  it('may end the way back first, as a QEMU does that has loaded its guest', async () => {
    const { outgoing, incoming } = relay()
    const stream = streamOf(numbers(20))
    outgoing.qemu.write(stream)
    await until(() => incoming.qemu.received.length === stream.length)
    incoming.qemu.write(SHUT)
    incoming.qemu.endpoint.end()
    await until(() => outgoing.qemu.hasHeardEnd)
    await settle()
    assert.ok(!outgoing.said.words.includes('ended') && incoming.said.words.length === 0)
    outgoing.qemu.write(Buffer.from('what remains'))
    outgoing.qemu.endpoint.end()
    await until(() => outgoing.said.words.includes('ended') && incoming.said.words.includes('ended'))
    assert.ok(incoming.qemu.received.equals(Buffer.concat([stream, Buffer.from('what remains')])))
    assert.ok(incoming.qemu.hasHeardEnd)
  })

  it('compresses harder where the rate that it may take holds it up', async () => {
    const file = readFileSync(process.execPath).subarray(0, 5000 * PAGE_BYTES)
    const pages = Array.from({ length: 5000 }, (_, i) => file.subarray(i * PAGE_BYTES, (i + 1) * PAGE_BYTES))
    const stream = precopyStream([{ name: 'pc.ram', pages }]).bytes
    const wireBytes: number[] = []
    for (const bytesPerSecondMax of [Infinity, 4e6]) {
      const clock = new SteppedClock()
      const { outgoing, incoming } = relay({ clock, init: { compression: 'auto', bytesPerSecondMax } })
      outgoing.qemu.write(Buffer.from(stream))
      outgoing.qemu.endpoint.end()
      incoming.qemu.endpoint.end()
      await clock.until(() => outgoing.said.words.includes('ended') && incoming.said.words.includes('ended'))
      assert.ok(incoming.qemu.received.equals(stream))
      wireBytes.push(outgoing.passage.counts().literalWireBytes)
    }
    assert.ok(wireBytes[1]! < 0.98 * wireBytes[0]!, wireBytes.join(' '))
  })

  it('carries whatever bytes there are, in pieces and with pauses, both ways', async () => {
    const pieces = fc.array(fc.uint8Array({ minLength: 1, maxLength: 3000 }), { maxLength: 12 })
    const modes = fc.constantFrom('auto', 'always', 'never')
    await fc.assert(fc.asyncProperty(pieces, pieces, modes, async (down, up, compression) => {
      const { outgoing, incoming } = relay({ init: { compression } })
      const [longer, shorter] = down.length > up.length ? [down, up] : [up, down]
      for (let i = 0; i < longer.length; i++) {
        for (const [qemu, words] of [[outgoing.qemu, down], [incoming.qemu, up]] as const) {
          if (words[i] !== undefined) qemu.write(words[i]!)
        }
        await settle(i < shorter.length ? 1 : 0)
      }
      outgoing.qemu.endpoint.end()
      incoming.qemu.endpoint.end()
      await until(() => outgoing.said.words.includes('ended') && incoming.said.words.includes('ended'))
      assert.ok(incoming.qemu.received.equals(Buffer.concat(down)))
      await until(() => outgoing.qemu.hasHeardEnd)
      assert.ok(outgoing.qemu.received.equals(Buffer.concat(up)))
    }), { numRuns: 30 })
  })

  it('has nothing to carry and ends all the same', async () => {
    const { outgoing, incoming } = relay()
    outgoing.qemu.endpoint.end()
    incoming.qemu.endpoint.end()
    await until(() => outgoing.said.words.length > 0 && incoming.said.words.length > 0)
    assert.deepEqual([outgoing.said.words, incoming.said.words], [['ended'], ['ended']])
  })

  it('sends what came lately without waiting for more', async () => {
    const { outgoing, incoming } = relay()
    const stream = streamOf(numbers(3))
    for (const end of [200, 5000, stream.length - 10, stream.length]) {
      outgoing.qemu.write(stream.subarray(incoming.qemu.received.length, end))
      await until(() => incoming.qemu.received.length === end)
    }
    outgoing.passage.stop()
    incoming.passage.stop()
  })

  it('holds the source back while the destination takes nothing, and loses nothing by it', async () => {
    const { outgoing, incoming } = relay({ isReading: false })
    const stream = streamOf(numbers(6000))
    outgoing.qemu.write(stream)
    outgoing.qemu.endpoint.end()
    await until(() => outgoing.passage.counts().streamBytes > 8 * 2 ** 20 - 2 ** 18)
    await settle(200)
    const taken = outgoing.passage.counts().streamBytes
    assert.ok(taken < 9 * 2 ** 20, `${taken} bytes were taken`)
    incoming.qemu.read()
    await until(() => incoming.qemu.hasHeardEnd)
    assert.ok(incoming.qemu.received.equals(stream))
    outgoing.passage.stop()
    incoming.passage.stop()
  })

  it('takes pages that arrived meanwhile as known', async () => {
    const held = numbers(10).map(page)
    const { outgoing, incoming } = relay({ sources: [sourceWith(held, 'peer')] })
    const stream = streamOf([...numbers(5), ...numbers(5, 5)])
    const half = stream.indexOf(page(5)) - 8
    outgoing.qemu.write(stream.subarray(0, half))
    await until(() => incoming.qemu.received.length === half)
    outgoing.passage.addKnown(prefixesOf(held))
    outgoing.qemu.write(stream.subarray(half))
    await until(() => incoming.qemu.received.length === stream.length)
    assert.ok(incoming.qemu.received.equals(stream))
    const { ref, literal } = outgoing.passage.counts()
    assert.deepEqual({ ref, literal }, { ref: 5, literal: 5 })
    assert.equal(incoming.passage.counts().refsFilledBy.peer, 5)
    outgoing.passage.stop()
    incoming.passage.stop()
  })

  it('asks for exactly the refs that nobody has, or has only wrongly', async () => {
    const held = numbers(12).map(page)
    const spoil = (bytes: Buffer): Buffer => Buffer.concat([bytes.subarray(0, -1), Buffer.from('x')])
    const spoilt = held.map((bytes, i) => (i % 4 === 1 ? spoil(bytes) : bytes))
    const source = sourceWith(held, 'resident', (bytes) => spoilt[held.indexOf(bytes)]!)
    const partial = { ...source, fill: async (...words: Parameters<typeof source.fill>) => {
      await source.fill(...words)
      words[0].markMissing(2)
    } }
    const { outgoing, incoming } = relay({ init: { known: prefixesOf(held) }, sources: [partial] })
    const stream = streamOf(numbers(12))
    outgoing.qemu.write(stream)
    outgoing.qemu.endpoint.end()
    await until(() => incoming.qemu.hasHeardEnd)
    assert.ok(incoming.qemu.received.equals(stream))
    assert.deepEqual(incoming.passage.counts().refsFilledBy, {
      sentBefore: 0, resident: 8, store: 0, peer: 0, source: 4,
    })
    outgoing.passage.stop()
    incoming.passage.stop()
  })

  it('goes on with a post-copy on a new connection, with what the first one told', async () => {
    const memory = [{ name: 'pc.ram', pages: numbers(4).map(page) }]
    const first = relay()
    first.outgoing.qemu.write(postcopyStream(memory, memory).bytes)
    await until(() => first.outgoing.said.words.includes('eof'))
    const continuation = JSON.parse(JSON.stringify(first.outgoing.passage.knowledge())) as
      ReturnType<typeof first.outgoing.passage.knowledge>
    first.outgoing.passage.stop()
    first.incoming.passage.stop()
    const { outgoing, incoming } = relay({ init: { continuation } })
    const recovered = Buffer.concat([
      Buffer.from('080009' + '0000' + '0200000002' + '0000000000001008' + '0670632e72616d', 'hex'), page(7),
      Buffer.from('0000000000000010' + '7e00000002', 'hex'),
    ])
    outgoing.qemu.write(recovered)
    await until(() => incoming.qemu.received.length === recovered.length)
    assert.ok(incoming.qemu.received.equals(recovered))
    assert.deepEqual(outgoing.said.words, ['resume', 'handedOver'])
    assert.equal(outgoing.passage.counts().literal, 1)
    outgoing.passage.stop()
    incoming.passage.stop()
  })
})

describe('a passage that breaks', () => {
  it('closes both QEMUs\' connections at once when the lane is lost, and says so once at each end', async () => {
    const { outgoing, incoming, lanes } = relay()
    outgoing.qemu.write(streamOf(numbers(5)).subarray(0, 9000))
    await until(() => incoming.qemu.received.length > 4000)
    lanes[0].destroy()
    await until(() => outgoing.said.errors.length > 0 && incoming.said.errors.length > 0)
    await until(() => outgoing.qemu.hasHeardEnd && incoming.qemu.hasHeardEnd)
    await settle()
    for (const { said } of [outgoing, incoming]) assert.deepEqual(said.errors.map(({ code }) => code), ['lane-lost'])
  })

  it('breaks the other end too when it is stopped, and says nothing itself', async () => {
    for (const stopped of ['outgoing', 'incoming'] as const) {
      const both = relay()
      both[stopped].passage.stop()
      both[stopped].passage.stop()
      const other = both[stopped === 'outgoing' ? 'incoming' : 'outgoing']
      await until(() => other.said.errors.length > 0)
      assert.equal(other.said.errors[0]!.code, 'lane-lost')
      await until(() => both.outgoing.qemu.hasHeardEnd && both.incoming.qemu.hasHeardEnd)
      assert.deepEqual(both[stopped].said.words, [])
    }
  })
})
