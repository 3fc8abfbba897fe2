import assert from 'node:assert/strict'

import fc from 'fast-check'

import { BitReader, BitWriter, countBits, hasBit, setBit } from '../../../src/bytes/bits.ts'

/** Something to write, with what the same bits look like as text. */
type Word = { kind: 'bits'; value: number; count: number } | { kind: 'unary' | 'gamma'; value: number }

const word: fc.Arbitrary<Word> = fc.oneof(
  fc.integer({ min: 0, max: 52 }).chain((count) => fc.tuple(fc.constant(count), fc.oneof(
    fc.constantFrom(0, 2 ** count - 1, Math.floor(2 ** (count - 1))),
    fc.maxSafeNat().map((value) => value % 2 ** count),
  )))
    .map(([count, value]) => ({ kind: 'bits' as const, value, count })),
  fc.integer({ min: 0, max: 70 }).map((value) => ({ kind: 'unary' as const, value })),
  fc.oneof(fc.integer({ min: 1, max: 2 ** 32 - 1 }), fc.constantFrom(1, 2, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1))
    .map((value) => ({ kind: 'gamma' as const, value })),
)

function textOf(written: Word): string {
  const { kind, value } = written
  if (kind === 'unary') return `${'1'.repeat(value)}0`
  if (kind === 'bits') return written.count === 0 ? '' : value.toString(2).padStart(written.count, '0')
  const binary = value.toString(2)
  return `${'1'.repeat(binary.length - 1)}0${binary.slice(1)}`
}

function write(out: BitWriter, written: Word): void {
  if (written.kind === 'bits') out.writeBits(written.value, written.count)
  else if (written.kind === 'unary') out.writeUnary(written.value)
  else out.writeGamma(written.value)
}

function readLike(input: BitReader, { kind, ...written }: Word): number {
  if (kind === 'unary') return input.readUnary()
  return kind === 'gamma' ? input.readGamma() : input.readBits((written as { count: number }).count)
}

function bytesOf(text: string): Uint8Array {
  const padded = text.padEnd(Math.ceil(text.length / 8) * 8, '0')
  return Uint8Array.from({ length: padded.length / 8 }, (_, byte) =>
    Number.parseInt(padded.slice(byte * 8, byte * 8 + 8), 2))
}

describe('bits', () => {
  it('are written highest first, and read back as they were', () => {
    fc.assert(fc.property(fc.array(word, { maxLength: 60 }), fc.nat(8), (words, expectedBytes) => {
      const out = new BitWriter(expectedBytes)
      for (const written of words) write(out, written)
      const text = words.map(textOf).join('')
      assert.equal(out.byteLength, Math.ceil(text.length / 8))
      const bytes = out.finish()
      assert.deepEqual(Buffer.from(bytes), Buffer.from(bytesOf(text)))
      const input = new BitReader(bytes)
      for (const written of words) assert.equal(readLike(input, written), written.value)
      assert.equal(input.exhausted, false)
      assert.equal(input.bitsLeft, bytes.length * 8 - text.length)
    }), { numRuns: 500 })
  })

  it('of one writer go behind those of another, whatever does not fill a byte', () => {
    fc.assert(fc.property(fc.array(word, { maxLength: 12 }), fc.array(word, { maxLength: 12 }), (first, second) => {
      const out = new BitWriter()
      const other = new BitWriter(0)
      for (const written of first) write(out, written)
      for (const written of second) write(other, written)
      out.writeAll(other)
      assert.deepEqual(Buffer.from(out.finish()), Buffer.from(bytesOf([...first, ...second].map(textOf).join(''))))
    }))
  })

  it('past the end are zeros, and said to be none', () => {
    const input = new BitReader(Uint8Array.of(0xff, 0xff))
    assert.equal(input.readBits(12), 0xfff)
    assert.deepEqual([input.exhausted, input.bitsLeft], [false, 4])
    assert.equal(input.readBits(8), 0xf0)
    assert.equal(input.exhausted, true)
    assert.equal(input.readBits(52), 0)
    assert.equal(input.readUnary(), 0)
    assert.equal(new BitReader(new Uint8Array(0)).readGamma(), 1)
  })

  it('say how many of them are left', () => {
    const input = new BitReader(new Uint8Array(4))
    assert.equal(input.bitsLeft, 32)
    input.readBits(3)
    assert.equal(input.bitsLeft, 29)
    input.readBits(29)
    assert.equal(input.bitsLeft, 0)
    input.readBits(12)
    assert.equal(input.bitsLeft, 4, 'those that were made up')
  })

  it('that end in ones do not make a number without end', () => {
    const input = new BitReader(new Uint8Array(1000).fill(0xff))
    assert.equal(input.readUnary(), 8000)
    assert.equal(input.exhausted, true)
    assert.ok(Number.isNaN(new BitReader(Uint8Array.of(0xff, 0xff, 0xff, 0xff, 0)).readGamma()))
  })
})

describe('a bitmap', () => {
  it('has the bits that were set, the lowest of each byte first', () => {
    const bitmap = new Uint8Array(3)
    const set = [0, 7, 8, 18, 23]
    for (const index of set) setBit(bitmap, index)
    setBit(bitmap, 7)
    assert.deepEqual([...bitmap], [0x81, 0x01, 0x84])
    assert.deepEqual(Array.from({ length: 24 }, (_, index) => index).filter((index) => hasBit(bitmap, index)), set)
    assert.equal(countBits(bitmap), set.length)
  })
})
