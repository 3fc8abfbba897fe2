import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { zstdCompressSync } from 'node:zlib'
import fc from 'fast-check'

import { ID_BYTES, looksPackable, pack, PAGE_BYTES, unpack } from '../../../src/page/index.ts'
import {
  BATCH_HEADER_BYTES, BATCH_LIMITS, BATCH_PAGES_MAX, BATCH_STREAM_BYTES, decodeBatchHeader, encodeBatchHeader,
  OP_LITERAL, OP_RAW, OP_REF, OP_SENT, OpReader, OpWriter, packBatch, type EncodedBatch,
} from '../../../src/passage/batch.ts'
import { Decoder, unpackBatch } from '../../../src/passage/decoder.ts'
import { PagemeshError } from '../../../src/runtime/errors.ts'
import { assembled, makeBody, op, page } from '../../support/madepages.ts'

const NONE = Buffer.alloc(0)

function assertRefused(body: Buffer, why: RegExp): void {
  assert.throws(() => assembled(body), (error: unknown) =>
    error instanceof PagemeshError && error.code === 'bad-frame' && why.test(error.message), String(why))
}

/** zstd of `bytes` that is longer than they are. */
function packedLonger(bytes: Buffer): Buffer {
  const packed = zstdCompressSync(bytes)
  assert.ok(packed.length > bytes.length)
  return packed
}

describe('the header of a batch', () => {
  it('is read as it was written', () => {
    const count = fc.nat(16)
    fc.assert(fc.property(fc.nat(0xffff_ffff), count, count, count, fc.nat(60_000), (sequence, a, b, c, raw) => {
      const header = {
        sequence, streamBytes: raw + (a + b) * PAGE_BYTES, digest: Buffer.alloc(32, c), literals: a, refs: b,
        opsBytes: c, rawBytes: raw, packedBytes: c + raw, literalWireBytes: a * PAGE_BYTES,
      }
      const rest = Buffer.alloc(c + raw + b * ID_BYTES + a * PAGE_BYTES)
      assert.deepEqual(decodeBatchHeader(Buffer.concat([encodeBatchHeader(header), rest])), header)
    }))
  })
})

/** Agents of different versions read each other's batches: what is on the wire, and how much of it, never changes. */
describe('a batch on the wire', () => {
  it('looks like this', () => {
    const header = {
      sequence: 1, streamBytes: 2, digest: Buffer.alloc(32, 0xdd), literals: 3, refs: 4, opsBytes: 5, rawBytes: 6,
      packedBytes: 7, literalWireBytes: 8,
    }
    const numbers = (...values: number[]): string => values.map((value) => value.toString(16).padStart(8, '0')).join('')
    const bytes = `${numbers(1, 2)}${'dd'.repeat(32)}${numbers(3, 4, 5, 6, 7, 8)}`
    assert.equal(encodeBatchHeader(header).toString('hex'), bytes)
    assert.equal(BATCH_HEADER_BYTES, bytes.length / 2)
    const writer = new OpWriter()
    for (const [kind, count] of [[OP_RAW, 31], [OP_LITERAL, 1], [OP_REF, 32], [OP_SENT, 8191], [OP_SENT, 0]] as const) {
      writer.push(kind, count)
    }
    assert.equal(writer.finish().toString('hex'), '7c' + '05' + '8201' + 'ffff01' + '03')
  })

  it('keeps to these limits', () => {
    assert.equal(BATCH_STREAM_BYTES, 64 * 4104)
    assert.deepEqual(BATCH_LIMITS, { streamBytes: 64 * 4104 + 65_536, opsBytes: 65_536 })
    assert.equal(BATCH_PAGES_MAX, 80)
  })

  it('may have nothing in it', () => {
    assert.equal(assembled(makeBody({ ops: NONE })).streamBytes, 0)
    assertRefused(makeBody({ ops: NONE }).subarray(0, -1), /cut short/)
  })
})

/** Each of these batches breaks one limit and is right in all else: with that limit gone it would be taken. */
describe('a batch is refused', () => {
  it('or taken, if nothing is wrong with it', () => {
    const parts = {
      ops: Buffer.concat([op(OP_RAW, 3), op(OP_LITERAL, 1), op(OP_SENT, 0), op(OP_REF, 1)]),
      raw: Buffer.from('abc'), literals: page(1), refIds: Buffer.alloc(ID_BYTES, 7),
    }
    const batch = assembled(makeBody({ ...parts, header: { streamBytes: 3 + 3 * PAGE_BYTES } }))
    assert.deepEqual([...batch.pageOffsets.subarray(0, batch.pageCount)], [3, 3 + PAGE_BYTES, 3 + 2 * PAGE_BYTES])
    assert.deepEqual([...batch.refPages], [2])
    assert.equal(batch.sentBefore, 1)
    assert.ok(batch.stream.subarray(0, 3).equals(parts.raw))
    for (const at of [3, 3 + PAGE_BYTES]) assert.ok(batch.stream.subarray(at, at + PAGE_BYTES).equals(page(1)))
  })

  it('beyond the bytes of stream that one may have', () => {
    const make = (bytes: number): Buffer => {
      const raw = Buffer.alloc(bytes)
      const ops = op(OP_RAW, bytes)
      return makeBody({ ops, raw, packed: zstdCompressSync(Buffer.concat([ops, raw])) })
    }
    assert.equal(assembled(make(BATCH_LIMITS.streamBytes)).streamBytes, BATCH_LIMITS.streamBytes)
    assertRefused(make(BATCH_LIMITS.streamBytes + 1), /claims \d+ bytes of stream/)
    assert.ok(BATCH_STREAM_BYTES <= BATCH_LIMITS.streamBytes)
  })

  it('beyond the bytes of ops that one may have', () => {
    // Ops that stand for nothing.
    assertRefused(makeBody({ ops: Buffer.alloc(BATCH_LIMITS.opsBytes + 1) }), /claims \d+ bytes of ops/)
    assert.equal(assembled(makeBody({ ops: Buffer.alloc(BATCH_LIMITS.opsBytes) })).streamBytes, 0)
  })

  it('if its parts claim more than it stands for, before they are unpacked', () => {
    const raw = Buffer.from('abcd')
    assertRefused(makeBody({ ops: op(OP_RAW, 3), raw, header: { streamBytes: 3 } }), /more than it stands for/)
    const body = makeBody({ ops: NONE, literals: page(1), header: { streamBytes: PAGE_BYTES - 1 } })
    assertRefused(body, /more than it stands for/)
    const refIds = Buffer.alloc(ID_BYTES)
    assertRefused(makeBody({ ops: NONE, refIds, header: { streamBytes: 0 } }), /more than it stands for/)
  })

  it('if packed ops or literals are larger than unpacked ones', () => {
    const raw = randomBytes(100)
    const ops = op(OP_RAW, 100)
    assertRefused(makeBody({ ops, raw, packed: packedLonger(Buffer.concat([ops, raw])) }), /packed ops are larger/)
    const literals = randomBytes(PAGE_BYTES)
    const body = makeBody({ ops: op(OP_LITERAL, 1), literals, packedLiterals: packedLonger(literals) })
    assertRefused(body, /packed literals are larger/)
  })

  it('if its parts do not add up to its body', () => {
    const body = makeBody({ ops: op(OP_RAW, 1), raw: Buffer.from('a') })
    assertRefused(Buffer.concat([body, Buffer.alloc(1)]), /do not add up/)
    assertRefused(body.subarray(0, -1), /do not add up/)
    assertRefused(body.subarray(0, 20), /cut short/)
  })

  it('if it comes out of order', () => {
    const make = (sequence: number): Buffer => makeBody({ ops: NONE, header: { sequence } })
    assertRefused(make(1), /batch 1 came where 0 was due/)
    const decoder = new Decoder()
    decoder.assemble(unpackBatch(make(0)))
    assert.throws(() => decoder.assemble(unpackBatch(make(0))), /batch 0 came where 1 was due/)
    decoder.assemble(unpackBatch(make(1)))
  })

  it('if its ops name more than it has', () => {
    const streamBytes = 3 * PAGE_BYTES
    const filler = { raw: Buffer.alloc(0), literals: page(1), refIds: Buffer.alloc(ID_BYTES), header: { streamBytes } }
    assertRefused(makeBody({ ...filler, ops: op(OP_LITERAL, 2) }), /more literals than it has/)
    assertRefused(makeBody({ ...filler, ops: op(OP_REF, 2) }), /more refs than it has/)
    assertRefused(makeBody({ ...filler, ops: op(OP_RAW, 1) }), /more raw bytes than it has/)
    assertRefused(makeBody({ ...filler, ops: op(OP_SENT, 0) }), /never sent/)
    assertRefused(makeBody({ ...filler, ops: op(OP_REF, 4) }), /exceed its stream bytes/)
  })

  it('if its ops leave something over', () => {
    const ops = op(OP_RAW, 1)
    assertRefused(makeBody({ ops, raw: Buffer.from('ab') }), /do not use all its parts/)
    assertRefused(makeBody({ ops: op(OP_RAW, 2), raw: Buffer.from('ab'), header: { streamBytes: 3 } }), /all its parts/)
    const sent = Buffer.concat([op(OP_LITERAL, 1), op(OP_SENT, 0)])
    const twoLiterals = Buffer.concat([page(1), page(2)])
    assertRefused(makeBody({ ops: sent, literals: twoLiterals }), /all its parts/)
    const refIds = Buffer.alloc(ID_BYTES)
    assertRefused(makeBody({ ops: sent, literals: page(1), refIds }), /all its parts/)
    const header = { streamBytes: 1 + 2 * PAGE_BYTES }
    const rawLeft = { ops: Buffer.concat([sent, ops]), raw: Buffer.from('ab'), literals: page(1), header }
    assertRefused(makeBody(rawLeft), /all its parts/)
    assert.equal(assembled(makeBody({ ...rawLeft, raw: Buffer.from('a') })).pageCount, 2)
  })

  it('if what is packed yields more, or less, than it claims', () => {
    const bomb = zstdCompressSync(Buffer.alloc(2 ** 26))
    const ops = op(OP_RAW, 100_000)
    const make = (packed: Buffer): Buffer => makeBody({ ops, raw: Buffer.alloc(100_000), packed })
    assertRefused(make(bomb), /more than 100003 bytes/)
    assertRefused(make(zstdCompressSync(Buffer.alloc(100_002))), /100002 bytes instead of 100003/)
    assertRefused(make(Buffer.from('not zstd')), /not what zstd makes/)
  })
})

describe('the ops of a batch', () => {
  it('are read as they were written, neighbours of one kind as one', () => {
    const written = fc.tuple(fc.nat(3), fc.nat(1_000_000))
    fc.assert(fc.property(fc.array(written, { maxLength: 100 }), (ops) => {
      const writer = new OpWriter()
      const expected: [number, number][] = []
      for (const [kind, count] of ops) {
        writer.push(kind, count)
        const last = expected.at(-1)
        if (count === 0 && kind !== OP_SENT) continue
        if (last !== undefined && last[0] === kind && kind !== OP_SENT) last[1] += count
        else expected.push([kind, count])
      }
      const reader = new OpReader(writer.finish())
      const read: [number, number][] = []
      while (reader.next()) read.push([reader.kind, reader.count])
      assert.deepEqual(read, expected)
    }))
  })

  it('are refused if one does not end, or is too large', () => {
    assert.throws(() => new OpReader(Buffer.alloc(9, 0xff)).next(), { code: 'bad-frame' })
    assert.throws(() => new OpReader(Buffer.from([0x80])).next(), { code: 'bad-frame' })
    const large = new OpReader(Buffer.from([0xfc, 0xff, 0xff, 0xff, 0x7f]))
    assert.deepEqual([large.next(), large.kind, large.count, large.next()], [true, OP_RAW, 2 ** 33 - 1, false])
    const tooLarge = Buffer.from([0x80, 0x80, 0x80, 0x80, 0x80, 0x01])
    assert.throws(() => new OpReader(tooLarge).next(), { code: 'bad-frame', phase: 'handoff' })
  })

  it('are forgotten when others are begun, even those that nobody read', () => {
    const writer = new OpWriter()
    writer.push(OP_RAW, 5)
    writer.push(OP_REF, 6)
    writer.clear()
    writer.push(OP_REF, 7)
    const reader = new OpReader(writer.finish())
    assert.deepEqual([reader.next(), reader.kind, reader.count, reader.next()], [true, OP_REF, 7, false])
  })
})

describe('packing', () => {
  it('shrinks what can be shrunk and leaves the rest as it is', async () => {
    const zeros = Buffer.alloc(100_000)
    assert.ok((await pack(zeros)).length < 1000)
    assert.ok((unpack(await pack(zeros), zeros.length)).equals(zeros))
    const dense = page(5).subarray(0, 64)
    assert.equal(await pack(dense), dense)
    assert.throws(() => unpack(Buffer.from('not zstd'), 5000), { code: 'bad-frame' })
    assert.ok(looksPackable(zeros))
    assert.ok(!looksPackable(randomBytes(100_000)))
    const packed = await pack(zeros)
    assert.throws(() => unpack(packed, 99_999), /more than 99999 bytes/)
    assert.throws(() => unpack(packed, 100_001), /100000 bytes instead of 100001/)
  })
})

describe('a batch that is packed', () => {
  /** Ops and raw bytes of 640 bytes, and literals of so many pages. */
  const batchOf = (pages: number, fill: (literals: Buffer) => void): EncodedBatch => {
    const literals = Buffer.alloc(pages * PAGE_BYTES)
    fill(literals)
    return {
      sequence: 0, stream: Buffer.alloc(pages * PAGE_BYTES + 600), digest: new Uint8Array(32), ops: Buffer.alloc(40, 1),
      raw: Buffer.alloc(600, 2), refIds: NONE, refOffsets: new Uint32Array(0), literals,
    }
  }
  const packedOf = (batch: EncodedBatch, level: 0 | 1): number[] => {
    const { parts, literalWireBytes, wireBytes } = packBatch(batch, { level })
    assert.equal(wireBytes, BATCH_HEADER_BYTES + parts.reduce((sum, part) => sum + part.length, 0))
    const [refIds, literals] = parts.slice(-2)
    assert.deepEqual([refIds!.length, literals!.length], [0, literalWireBytes])
    return [parts.slice(0, -2).reduce((sum, part) => sum + part.length, 0), literalWireBytes]
  }

  it('has what goes raw compressed, unless the literals take 64 times as much', () => {
    const same = (literals: Buffer): void => { literals.fill(7) }
    assert.ok(packedOf(batchOf(9, same), 0)[0]! < 100)
    assert.deepEqual(packedOf(batchOf(10, same), 0), [640, 10 * PAGE_BYTES])
    assert.ok(packedOf(batchOf(10, same), 1)[0]! < 100, 'of the literals hardly anything is left')
  })

  it('has its literals as they are where no level is given, and where none would make them smaller', () => {
    const noise = (literals: Buffer): void => { randomBytes(literals.length).copy(literals) }
    assert.equal(packedOf(batchOf(20, noise), 1)[1], 20 * PAGE_BYTES)
    assert.equal(packedOf(batchOf(20, (literals) => { literals.fill(7) }), 0)[1], 20 * PAGE_BYTES)
    assert.ok(packedOf(batchOf(20, (literals) => { literals.fill(7) }), 1)[1]! < 200)
  })
})
