import assert from 'node:assert/strict'
import fc from 'fast-check'

import { PAGE_BYTES } from '../../../src/page/index.ts'
import { BATCH_STREAM_BYTES, decodeBatchHeader, type EncodedBatch } from '../../../src/passage/batch.ts'
import { Decoder, unpackBatch } from '../../../src/passage/decoder.ts'
import { Encoder } from '../../../src/passage/encoder.ts'
import { PagemeshError } from '../../../src/runtime/errors.ts'
import { bodyOf, decode, encode, hasher, NOTHING, page, prefixesOf, sourceWith } from '../../support/madepages.ts'
import { postcopyStream, precopyStream, RUN_STATE } from '../../support/streambuilder.ts'

function bodiesOf(...words: Parameters<typeof encode>): Buffer[] {
  return encode(...words).map(bodyOf)
}

describe('the encoding of a passage', () => {
  it('gives back the very same stream, whatever the pieces, pauses, repetitions and refs', async () => {
    await fc.assert(fc.asyncProperty(
      fc.array(fc.option(fc.nat(30), { nil: undefined, freq: 6 }), { minLength: 1, maxLength: 300 }),
      fc.array(fc.integer({ min: 1, max: 30_000 }), { minLength: 1, maxLength: 8 }),
      fc.array(fc.boolean(), { minLength: 1, maxLength: 5 }),
      fc.nat(30),
      async (numbers, pieces, flushes, known) => {
        const pages = numbers.map((number) => (number === undefined ? undefined : page(number)))
        const { bytes } = precopyStream([{ name: 'pc.ram', pages }])
        const held = Array.from({ length: known }, (_, number) => page(number))
        const bodies = bodiesOf(bytes, prefixesOf(held), pieces, flushes)
        assert.ok(Buffer.from(bytes).equals(await decode(bodies, [sourceWith(held)])))
      },
    ), { numRuns: 60 })
  })

  it('makes a batch when there is enough for one, or when it is told to', () => {
    const sizes: number[] = []
    const encoder = new Encoder({ hasher }, {
      known: NOTHING, onBatch: ({ stream }) => sizes.push(stream.length), onMark: () => {}, onRunState: () => {},
      onLost: () => {},
    })
    encoder.push(Buffer.alloc(1000))
    encoder.push(Buffer.alloc(BATCH_STREAM_BYTES - 1001))
    assert.deepEqual(sizes, [])
    encoder.push(Buffer.alloc(3))
    assert.deepEqual([sizes, encoder.pendingBytes], [[BATCH_STREAM_BYTES], 2])
    encoder.flush()
    encoder.flush()
    assert.deepEqual(sizes, [BATCH_STREAM_BYTES, 2])
  })

  it('gives back bytes that are no migration at all', async () => {
    await fc.assert(fc.asyncProperty(fc.uint8Array({ maxLength: 20_000 }), async (bytes) => {
      assert.ok(Buffer.from(bytes).equals(await decode(bodiesOf(bytes, NOTHING, [1000], [true]), [])))
    }), { numRuns: 50 })
  })

  it('sends a page that was sent before as a number', async () => {
    const pages = [page(1), page(2), page(1), page(2), undefined]
    const bodies = bodiesOf(precopyStream([{ name: 'pc.ram', pages }]).bytes, NOTHING, [7000])
    const literals = bodies.map((body) => decodeBatchHeader(body).literals)
    assert.equal(literals.reduce((sum, count) => sum + count), 2)
  })

  it('sends pages as refs from when they are known on, and keeps no hold of what told so', () => {
    const known = prefixesOf([page(1)])
    const encoder = new Encoder({ hasher }, {
      known, onBatch: () => {}, onMark: () => {}, onRunState: () => {}, onLost: () => {},
    })
    known.high.fill(0)
    const pages = [1, 2, 3].map(page)
    const { bytes, pageOffsets } = precopyStream([{ name: 'pc.ram', pages: [...pages, ...pages, undefined] }])
    encoder.push(bytes.subarray(0, pageOffsets[2]! + PAGE_BYTES))
    encoder.flush()
    assert.deepEqual({ ref: encoder.counts.ref, literal: encoder.counts.literal }, { ref: 1, literal: 2 })
    encoder.addKnown(prefixesOf([page(3)]))
    encoder.push(bytes.subarray(pageOffsets[2]! + PAGE_BYTES))
    encoder.flush(true)
    const { ref, literal, sentBefore, zero, streamBytes } = encoder.counts
    assert.deepEqual({ ref, literal, sentBefore, zero }, { ref: 3, literal: 2, sentBefore: 1, zero: 1 })
    assert.equal(streamBytes, bytes.length)
  })

  it('tells marks, the run state and what it does not understand, and hands its knowledge on', () => {
    const said: string[] = []
    const make = (continuation?: Encoder['knowledge']): Encoder => new Encoder({ hasher }, {
      known: NOTHING, onBatch: () => {}, ...(continuation === undefined ? {} : { continuation }),
      onMark: (mark) => said.push(mark), onRunState: (state) => said.push(state), onLost: () => said.push('lost'),
    })
    const memory = [{ name: 'pc.ram', pages: [page(1), page(2)] }]
    const first = make()
    first.push(postcopyStream(memory, memory).bytes)
    assert.deepEqual(said, ['ramStart', 'package', RUN_STATE, 'handedOver', 'ramEnd', 'eof'])
    said.length = 0
    // A recovered connection begins in the middle: without knowledge it is no stream at all.
    const resumed = Buffer.from('0800090000', 'hex')
    make().push(Buffer.concat([resumed, resumed]))
    make(JSON.parse(JSON.stringify(first.knowledge)) as Encoder['knowledge']).push(resumed)
    assert.deepEqual(said, ['lost', 'resume'])
  })

  it('keeps the beginning of a page back, unless all is to leave', () => {
    const lengths: number[] = []
    const encoder = new Encoder({ hasher }, {
      known: NOTHING, onBatch: ({ stream }) => lengths.push(stream.length),
      onMark: () => {}, onRunState: () => {}, onLost: () => {},
    })
    const { bytes, pageOffsets } = precopyStream([{ name: 'pc.ram', pages: [page(1), page(2)] }])
    const [begin] = pageOffsets as [number, number]
    encoder.push(bytes.subarray(0, begin + 100))
    encoder.flush()
    assert.deepEqual(lengths, [begin])
    encoder.flush()
    assert.equal(encoder.pendingBytes, 100)
    encoder.flush(true)
    assert.deepEqual(lengths, [begin, 100])
    assert.equal(encoder.pendingBytes, 0)
    assert.equal(encoder.counts.literal, 0)
  })

  it('reads or refuses any damaged batch, and never lets it pass as good', async () => {
    const { bytes } = precopyStream([{ name: 'pc.ram', pages: [page(1), page(1), page(2), undefined] }])
    const [body] = bodiesOf(bytes, NOTHING)
    await fc.assert(fc.asyncProperty(fc.nat(body!.length - 1), fc.integer({ min: 1, max: 255 }), async (at, mask) => {
      const copy = Buffer.from(body!)
      copy[at]! ^= mask
      try {
        assert.ok(Buffer.from(bytes).equals(await decode([copy], [])))
      } catch (error) {
        assert.ok(error instanceof PagemeshError || /the digest of/.test(String(error)), String(error))
      }
    }), { numRuns: 400 })
  })

  it('uses the memory of a batch again, and still gives back the same', async () => {
    const { bytes } = precopyStream([{ name: 'pc.ram', pages: Array.from({ length: 500 }, (_, i) => page(i)) }])
    const decoder = new Decoder()
    const buffers = new Set<ArrayBufferLike>()
    for (const body of bodiesOf(bytes, NOTHING)) {
      const batch = decoder.assemble(unpackBatch(body))
      buffers.add(batch.stream.buffer)
      decoder.recycle(batch)
    }
    assert.equal(buffers.size, 1)
  })

  it('uses the memory of what was sent again, once it is acknowledged', () => {
    const { bytes } = precopyStream([{ name: 'pc.ram', pages: Array.from({ length: 500 }, (_, i) => page(i)) }])
    const memory = new Set<ArrayBufferLike>()
    let before: EncodedBatch | undefined
    const encoder = new Encoder({ hasher }, {
      known: NOTHING, onMark: () => {}, onRunState: () => {}, onLost: () => {},
      onBatch: (batch) => {
        memory.add(batch.stream.buffer).add(batch.literals.buffer)
        if (before !== undefined) for (const bytes of [before.stream, before.literals]) encoder.recycle(bytes)
        before = batch
      },
    })
    encoder.push(bytes)
    assert.ok(encoder.counts.streamBytes > 7 * BATCH_STREAM_BYTES)
    // Streams and literals of the batch that is made, and of the one that is acknowledged meanwhile.
    assert.equal(memory.size, 4)
  })
})
