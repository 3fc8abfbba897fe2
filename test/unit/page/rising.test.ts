import assert from 'node:assert/strict'

import fc from 'fast-check'

import { BitReader, BitWriter } from '../../../src/bytes/bits.ts'
import { readRising, RICE_MAX, riceFor, writeRising } from '../../../src/page/index.ts'
import { seededRandom } from '../../support/random.ts'

const LIMIT = 2 ** 52

function encoded(values: Float64Array, rice: number): Uint8Array {
  const out = new BitWriter()
  writeRising(out, values, 0, values.length, rice)
  return out.finish()
}

/** Ways to say how numbers lie: evenly, in clusters, at both ends. */
const values = fc.uniqueArray(fc.oneof(
  fc.maxSafeNat().map((value) => value % LIMIT),
  fc.nat(300), fc.nat(300).map((value) => LIMIT - 1 - value),
  fc.nat(300).map((value) => LIMIT / 3 - (LIMIT / 3) % 1 + value),
), { maxLength: 80 }).map((list) => Float64Array.from(list).sort())

describe('rising numbers', () => {
  it('come back as they were, whatever the numbers and the parameter that suits so many', () => {
    fc.assert(fc.property(values, fc.integer({ min: -2, max: 2 }), fc.nat(5), (list, off, from) => {
      const rice = Math.min(RICE_MAX, Math.max(44, riceFor(LIMIT, list.length) + off))
      const out = new BitWriter()
      writeRising(out, Float64Array.of(...Array<number>(from).fill(7), ...list), from, list.length, rice)
      const into = new Float64Array(from + list.length)
      const fault = readRising(new BitReader(out.finish()), into, from, list.length, rice, LIMIT)
      assert.equal(fault, undefined)
      assert.deepEqual(into.subarray(from), list)
    }), { numRuns: 500 })
  })

  it('below a small limit come back whatever the parameter', () => {
    const few = fc.uniqueArray(fc.nat(4095), { maxLength: 200 }).map((list) => Float64Array.from(list).sort())
    fc.assert(fc.property(few, fc.integer({ min: 0, max: RICE_MAX }), (list, rice) => {
      const into = new Float64Array(list.length)
      assert.equal(readRising(new BitReader(encoded(list, rice)), into, 0, list.length, rice, 4096), undefined)
      assert.deepEqual(into, list)
    }))
  })

  it('are refused when cut short or out of bounds, and never come out of order', () => {
    const list = Float64Array.of(5, 900, LIMIT - 1)
    const bytes = encoded(list, 45)
    const into = new Float64Array(3)
    assert.match(readRising(new BitReader(bytes.subarray(0, 12)), into, 0, 3, 45, LIMIT)!, /cut short/)
    assert.match(readRising(new BitReader(bytes), into, 0, 3, 45, LIMIT - 1)!, /out of bounds/)
    fc.assert(fc.property(fc.uint8Array({ maxLength: 120 }), fc.nat(RICE_MAX), fc.integer({ min: 1, max: 60 }),
      (random, rice, count) => {
        const out = new Float64Array(count)
        if (readRising(new BitReader(random), out, 0, count, rice, LIMIT) !== undefined) return
        assert.ok(out.every((value, index) => Number.isSafeInteger(value) && value < LIMIT &&
          value > (index === 0 ? -1 : out[index - 1]!)))
      }), { numRuns: 500 })
  })

  it('drawn at random take at most 0.14 bits each above their entropy', () => {
    const random = seededRandom(7)
    for (const count of [300, 1000, 3000, 4096, 5600, 30_000]) {
      const list = Float64Array.from({ length: count }, () => Math.floor(random() * LIMIT)).sort()
      const bits = (encoded(list, riceFor(LIMIT, count)).length * 8) / count
      const entropyBits = Math.log2(LIMIT / count) + Math.LOG2E
      assert.ok(bits - entropyBits < 0.14 + 20 / count, `${bits} bits for ${entropyBits}`)
    }
  })

  it('have a parameter within its bounds, however few or many they are', () => {
    assert.equal(riceFor(LIMIT, 0), 0)
    assert.equal(riceFor(LIMIT, 1), RICE_MAX)
    assert.equal(riceFor(2 ** 70, 1), RICE_MAX)
    assert.equal(riceFor(1, 100), 0)
  })

  it('have the parameter that suits their number', () => {
    const limits = [[64, 1], [64, 2], [64, 4], [1000, 3], [4096, 0], [2 ** 40, 2 ** 20]] as const
    assert.deepEqual(limits.map(([limit, count]) => riceFor(limit, count)), [5, 4, 3, 8, 0, 19])
  })

  it('begin above the floor that both sides know', () => {
    const list = Float64Array.of(100, 101, 250)
    const out = new BitWriter()
    writeRising(out, list, 0, 3, 4, 99)
    const bytes = out.finish()
    // Gaps of 0, 0 and 148: a quotient in unary and four bits each.
    assert.deepEqual([...bytes], [0b0000_0000, 0b0011_1111, 0b1110_0100])
    const into = new Float64Array(3)
    assert.equal(readRising(new BitReader(bytes), into, 0, 3, 4, 251, 99), undefined)
    assert.deepEqual(into, list)
    assert.match(readRising(new BitReader(bytes), into, 0, 3, 4, 250, 99)!, /out of bounds/)
  })
})
