import assert from 'node:assert/strict'
import fc from 'fast-check'

import {
  decodePrefixSet, encodePrefixSet, prefixBitsFor, prefixHigh, prefixLow, truncatePrefix, type PrefixSet,
} from '../../../src/page/index.ts'
import { PagemeshError } from '../../../src/runtime/errors.ts'

function setOf(bits: number, values: Iterable<number>): PrefixSet {
  return { bits, prefixes: Float64Array.from([...new Set(values)].sort((a, b) => a - b)) }
}

function isRefusal(error: unknown): boolean {
  return error instanceof PagemeshError && error.code === 'bad-prefix-set'
}

describe('a set of prefixes', () => {
  it('comes back as it was, whatever its members', () => {
    fc.assert(fc.property(
      fc.integer({ min: 32, max: 52 })
        .chain((bits) => fc.tuple(fc.constant(bits), fc.array(fc.maxSafeNat(), { maxLength: 200 }))),
      ([bits, values]) => {
        const set = setOf(bits, values.map((value) => value % 2 ** bits))
        assert.deepEqual(decodePrefixSet(encodePrefixSet(set)), set)
      },
    ))
  })

  it('takes about 3.2 bytes a page', () => {
    const count = 50_000
    const bits = prefixBitsFor(count)
    let state = 1
    const next = (): number => (state = (state * 48271) % 2147483647) / 2147483647
    const below = (limit: number): number => Math.floor(next() * limit)
    const prefixes = Array.from({ length: count }, () => below(2 ** 20) * 2 ** (bits - 20) + below(2 ** (bits - 20)))
    const set = setOf(bits, prefixes)
    assert.ok(encodePrefixSet(set).length / set.prefixes.length < 3.35)
  })

  it('truncates a 64-bit prefix and finds its halves again', () => {
    const half = fc.nat(0xffff_ffff)
    fc.assert(fc.property(half, half, fc.integer({ min: 33, max: 52 }), (high, low, bits) => {
      const prefix = truncatePrefix(high, low, bits)
      assert.equal(prefix, Number((BigInt(high) << 32n | BigInt(low)) >> BigInt(64 - bits)))
      assert.equal(prefixHigh(prefix, bits), high)
      assert.equal(prefixLow(prefix, bits), Number((BigInt(low) >> BigInt(64 - bits)) << BigInt(64 - bits)))
    }))
  })

  it('refuses what is cut short, of another version, or out of bounds', () => {
    const good = encodePrefixSet(setOf(40, [1, 5, 2 ** 39]))
    const changed = (at: number, byte: number): Uint8Array => Uint8Array.from(good).fill(byte, at, at + 1)
    assert.throws(() => decodePrefixSet(good.subarray(0, 5)), isRefusal)
    assert.throws(() => decodePrefixSet(good.subarray(0, good.length - 3)), isRefusal)
    assert.throws(() => decodePrefixSet(changed(0, 0)), isRefusal)
    assert.throws(() => decodePrefixSet(changed(0, 2)), isRefusal)
    assert.throws(() => decodePrefixSet(changed(1, 0xff)), isRefusal)
    assert.throws(() => decodePrefixSet(changed(5, 31)), isRefusal)
    assert.throws(() => decodePrefixSet(changed(5, 53)), isRefusal)
    assert.throws(() => decodePrefixSet(changed(6, 52)), isRefusal)
  })

  it('reads or refuses any bytes', () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), fc.boolean(), (bytes, looksRight) => {
      if (looksRight && bytes.length > 7) bytes.set([1, 0, 0, 0, bytes[4]! & 31, 40, 20])
      try {
        const { bits, prefixes } = decodePrefixSet(bytes)
        assert.ok(prefixes.every((prefix, i) => prefix < 2 ** bits && (i === 0 || prefix > prefixes[i - 1]!)))
      } catch (error) {
        assert.ok(isRefusal(error))
      }
    }), { numRuns: 2000 })
  })
})
