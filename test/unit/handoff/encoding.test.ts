import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import fc from 'fast-check'

import { Decoder, unpackBatch } from '../../../src/handoff/decoder.ts'
import { Encoder, type EncodedBatch } from '../../../src/handoff/encoder.ts'
import { BATCH_LIMITS, decodeBatchHeader, encodeBatchHeader, OpReader, OpWriter } from '../../../src/handoff/batch.ts'
import { SENT_PAGES, SentIndex, SentPages } from '../../../src/handoff/sentpages.ts'
import {
  createPageHasher, ID_BYTES, looksPackable, pack, PAGE_BYTES, PrefixTable, unpack,
} from '../../../src/page/index.ts'
import { PagemeshError } from '../../../src/runtime/errors.ts'
import { precopyStream } from '../qemu/streambuilder.ts'

const hasher = createPageHasher(new Uint8Array(32).fill(3))

/** A page that is unlike those of other numbers. */
function page(number: number): Buffer {
  const bytes = Buffer.alloc(PAGE_BYTES)
  for (let i = 0; i < PAGE_BYTES; i += 4) bytes.writeUInt32LE(Math.imul(number + i, 0x9e3779b1) >>> 0, i)
  return bytes
}

function idOf(bytes: Uint8Array): Buffer {
  const id = Buffer.alloc(ID_BYTES)
  hasher.hashPages(bytes, 0, 1, id, 0)
  return id
}

function tableOf(pages: readonly Uint8Array[]): PrefixTable {
  const table = new PrefixTable()
  for (const each of pages) {
    const id = idOf(each)
    table.add(id.readUInt32BE(0), id.readUInt32BE(4), 0)
  }
  return table
}

async function toBody(batch: EncodedBatch): Promise<Buffer> {
  const packed = await pack(Buffer.concat([batch.ops, batch.raw]))
  const literals = await pack(batch.literals)
  const header = encodeBatchHeader({
    sequence: batch.sequence, streamBytes: batch.stream.length, digest: batch.digest,
    literals: batch.literals.length / PAGE_BYTES, refs: batch.refOffsets.length,
    opsBytes: batch.ops.length, rawBytes: batch.raw.length,
    packedBytes: packed.length, literalWireBytes: literals.length,
  })
  return Buffer.concat([header, packed, batch.refIds, literals])
}

/** Encodes `stream` in pieces, and flushes where told to. */
function encode(
  stream: Uint8Array, atDestination: PrefixTable, pieces: readonly number[], flushes: readonly boolean[],
): Promise<Buffer>[] {
  const bodies: Promise<Buffer>[] = []
  const encoder = new Encoder({ hasher }, {
    atDestination, onBatch: (batch) => bodies.push(toBody(batch)), onMark: () => {}, onLost: () => {},
  })
  let at = 0
  for (let i = 0; at < stream.length; i++) {
    const length = Math.max(1, pieces[i % pieces.length]!)
    encoder.push(stream.subarray(at, at + length))
    if (flushes[i % flushes.length] === true) encoder.flush()
    at += length
  }
  encoder.flush(true)
  return bodies
}

async function decode(bodies: readonly Promise<Buffer>[], pages: ReadonlyMap<string, Buffer>): Promise<Buffer> {
  const decoder = new Decoder()
  const parts: Buffer[] = []
  for (const body of bodies) {
    const batch = decoder.assemble(unpackBatch(await body))
    for (let i = 0; i < batch.refs.count; i++) {
      const id = Buffer.from(batch.refs.ids.subarray(i * ID_BYTES, (i + 1) * ID_BYTES)).toString('hex')
      pages.get(id)!.copy(batch.refs.bytes, i * PAGE_BYTES)
    }
    assert.ok(decoder.complete(batch), 'the digest says that all is right')
    parts.push(Buffer.from(batch.stream))
  }
  return Buffer.concat(parts)
}

function isBadFrame(error: unknown): boolean {
  return error instanceof PagemeshError && error.code === 'bad-frame'
}

describe('the encoding of a handoff', () => {
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
        const byId = new Map(held.map((each) => [idOf(each).toString('hex'), each]))
        const bodies = encode(bytes, tableOf(held), pieces, flushes)
        assert.ok(Buffer.from(bytes).equals(await decode(bodies, byId)))
      },
    ), { numRuns: 60 })
  })

  it('gives back bytes that are no migration at all', async () => {
    await fc.assert(fc.asyncProperty(fc.uint8Array({ maxLength: 20_000 }), async (bytes) => {
      assert.ok(Buffer.from(bytes).equals(await decode(encode(bytes, new PrefixTable(), [1000], [true]), new Map())))
    }), { numRuns: 50 })
  })

  it('lets nothing out whose digest differs', async () => {
    const pages = [page(1), page(2), undefined]
    const { bytes } = precopyStream([{ name: 'pc.ram', pages }])
    const wrong = page(1)
    wrong[9]! ^= 1
    const bodies = encode(bytes, tableOf([page(1)]), [5000], [false])
    await assert.rejects(decode(bodies, new Map([[idOf(page(1)).toString('hex'), wrong]])), /the digest says/)
  })

  it('sends a page that was sent before as a number', async () => {
    const pages = [page(1), page(2), page(1), page(2), undefined]
    const bodies = encode(precopyStream([{ name: 'pc.ram', pages }]).bytes, new PrefixTable(), [7000], [false])
    const literals = await Promise.all(bodies.map(async (body) => decodeBatchHeader(await body).literals))
    assert.equal(literals.reduce((sum, count) => sum + count), 2)
  })

  it('refuses batches whose parts do not fit, each limit by itself', async () => {
    const { bytes } = precopyStream([{ name: 'pc.ram', pages: [page(1), page(2), undefined] }])
    const [body] = await Promise.all(encode(bytes, new PrefixTable(), [100_000], [false]))
    const damaged = (at: number, value: number): Buffer => {
      const copy = Buffer.from(body!)
      copy.writeUInt32BE(value, at)
      return copy
    }
    const refused = (batch: Buffer): void => {
      assert.throws(() => new Decoder().assemble(unpackBatch(batch)), isBadFrame)
    }
    refused(body!.subarray(0, 20))
    refused(body!.subarray(0, body!.length - 1))
    refused(damaged(0, 1))
    refused(damaged(4, BATCH_LIMITS.streamBytes + 1))
    for (let at = 40; at < 64; at += 4) {
      refused(damaged(at, body!.readUInt32BE(at) + 1))
      refused(damaged(at, 0xffff_fff0))
    }
  })

  it('reads or refuses any damaged batch, and never lets it pass as good', async () => {
    const { bytes } = precopyStream([{ name: 'pc.ram', pages: [page(1), page(1), page(2), undefined] }])
    const [body] = await Promise.all(encode(bytes, new PrefixTable(), [100_000], [false]))
    await fc.assert(fc.asyncProperty(fc.nat(body!.length - 1), fc.integer({ min: 1, max: 255 }), async (at, mask) => {
      const copy = Buffer.from(body!)
      copy[at]! ^= mask
      const decoder = new Decoder()
      try {
        const batch = decoder.assemble(unpackBatch(copy))
        if (decoder.complete(batch)) assert.ok(Buffer.from(bytes).equals(batch.stream))
      } catch (error) {
        assert.ok(error instanceof PagemeshError, String(error))
      }
    }), { numRuns: 400 })
  })

  it('writes and reads ops', () => {
    const op = fc.tuple(fc.nat(3), fc.nat(1_000_000))
    fc.assert(fc.property(fc.array(op, { maxLength: 100 }), (ops) => {
      const writer = new OpWriter()
      const expected: [number, number][] = []
      for (const [kind, count] of ops) {
        writer.push(kind, count)
        const last = expected.at(-1)
        if (count === 0 && kind !== 3) continue
        if (last !== undefined && last[0] === kind && kind !== 3) last[1] += count
        else expected.push([kind, count])
      }
      const reader = new OpReader(writer.finish())
      const read: [number, number][] = []
      while (reader.next()) read.push([reader.kind, reader.count])
      assert.deepEqual(read, expected)
    }))
    assert.throws(() => new OpReader(Buffer.alloc(9, 0xff)).next(), isBadFrame)
  })

  it('packs what shrinks and leaves the rest as it is', async () => {
    const zeros = Buffer.alloc(100_000)
    assert.ok((await pack(zeros)).length < 1000)
    assert.ok((unpack(await pack(zeros), zeros.length)).equals(zeros))
    const dense = page(5).subarray(0, 64)
    assert.equal(await pack(dense), dense)
    assert.throws(() => unpack(Buffer.from('not zstd'), 5000), isBadFrame)
    assert.ok(looksPackable(zeros))
    assert.ok(!looksPackable(randomBytes(100_000)))
    const packed = await pack(zeros)
    assert.throws(() => unpack(packed, 99_999), isBadFrame)
  })

  it('numbers the last literals alike at both ends', () => {
    const index = new SentIndex()
    const pages = new SentPages()
    const count = SENT_PAGES * 2 + 5
    const small = Buffer.alloc(ID_BYTES)
    const bytes = Buffer.alloc(PAGE_BYTES)
    const write = (number: number): void => {
      small.writeUInt32BE(Math.imul(number + 1, 0x9e3779b1) >>> 0, 0)
      bytes.writeUInt32LE(number, 0)
    }
    for (let number = 0; number < count; number++) {
      write(number)
      index.add(small, 0)
      pages.add(bytes, 0)
    }
    let found = 0
    const out = Buffer.alloc(PAGE_BYTES)
    for (let number = 0; number < count; number++) {
      write(number)
      const slot = index.find(small, 0)
      if (slot === -1) continue
      found += 1
      assert.ok(pages.copy(slot, out, 0))
      assert.equal(out.readUInt32LE(0), number)
    }
    assert.ok(found >= SENT_PAGES / 2 && found <= SENT_PAGES)
    assert.equal(pages.copy(SENT_PAGES, out, 0), false)
    assert.equal(new SentPages().copy(0, out, 0), false)
  })
})
