import assert from 'node:assert/strict'
import fc from 'fast-check'

import {
  decodePrefixSet, encodePrefixSet, isInSet, PREFIX_SET_LIMITS, prefixBitsFor, prefixHigh, prefixLow, truncatePrefix,
  type PrefixSet,
} from '../../../src/page/index.ts'
import { PagemeshError } from '../../../src/runtime/errors.ts'

function setOf(bits: number, values: Iterable<number>): PrefixSet {
  return { bits, prefixes: Float64Array.from([...new Set(values)].sort((a, b) => a - b)) }
}

function isRefusal(error: unknown): boolean {
  return error instanceof PagemeshError && error.code === 'bad-prefix-set'
}

describe('a set of prefixes', () => {
  it('comes back as it was, whatever its members', async () => {
    await fc.assert(fc.asyncProperty(
      fc.integer({ min: 32, max: 52 })
        .chain((bits) => fc.tuple(fc.constant(bits), fc.array(fc.maxSafeNat(), { maxLength: 200 }))),
      async ([bits, values]) => {
        const set = setOf(bits, values.map((value) => value % 2 ** bits))
        assert.deepEqual(await decodePrefixSet(await encodePrefixSet(set)), set)
      },
    ))
  })

  it('has a page or not by the first bits of its prefix', () => {
    fc.assert(fc.property(
      fc.integer({ min: 32, max: 52 }), fc.array(fc.maxSafeNat(), { maxLength: 50 }), fc.maxSafeNat(),
      (bits, values, other) => {
        const set = setOf(bits, values.map((value) => value % 2 ** bits))
        for (const value of [...values, other].map((one) => one % 2 ** bits)) {
          const low = prefixLow(value, bits)
          const isThere = set.prefixes.includes(value)
          assert.equal(isInSet(set, prefixHigh(value, bits), low), isThere)
          // Whatever its further bits.
          assert.equal(isInSet(set, prefixHigh(value, bits), (low | (2 ** (64 - bits) - 1)) >>> 0), isThere)
        }
      },
    ))
    assert.ok(!isInSet({ bits: 40, prefixes: new Float64Array(0) }, 0, 0))
    assert.ok(isInSet(setOf(32, [2 ** 32 - 1]), -1, -1), 'signed halves are the same ones')
  })

  it('takes about 3.2 bytes a page', async () => {
    const count = 50_000
    const bits = prefixBitsFor(count)
    let state = 1
    const next = (): number => (state = (state * 48271) % 2147483647) / 2147483647
    const below = (limit: number): number => Math.floor(next() * limit)
    const prefixes = Array.from({ length: count }, () => below(2 ** 20) * 2 ** (bits - 20) + below(2 ** (bits - 20)))
    const set = setOf(bits, prefixes)
    assert.ok((await encodePrefixSet(set)).length / set.prefixes.length < 3.35)
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

  it('refuses what is cut short, of another version, or out of bounds', async () => {
    const good = await encodePrefixSet(setOf(40, [1, 5, 2 ** 39]))
    const changed = (at: number, byte: number): Uint8Array => Uint8Array.from(good).fill(byte, at, at + 1)
    await assert.rejects(() => decodePrefixSet(good.subarray(0, 5)), isRefusal)
    await assert.rejects(() => decodePrefixSet(good.subarray(0, good.length - 3)), isRefusal)
    await assert.rejects(() => decodePrefixSet(changed(0, 0)), isRefusal)
    await assert.rejects(() => decodePrefixSet(changed(0, 2)), isRefusal)
    await assert.rejects(() => decodePrefixSet(changed(1, 0xff)), isRefusal)
    await assert.rejects(() => decodePrefixSet(changed(5, 31)), isRefusal)
    await assert.rejects(() => decodePrefixSet(changed(5, 53)), isRefusal)
    await assert.rejects(() => decodePrefixSet(changed(6, 52)), isRefusal)
  })

  it('reads or refuses any bytes', async () => {
    await fc.assert(fc.asyncProperty(fc.uint8Array({ maxLength: 300 }), fc.boolean(), async (bytes, looksRight) => {
      if (looksRight && bytes.length > 7) bytes.set([1, 0, 0, 0, bytes[4]! & 31, 40, 20])
      try {
        const { bits, prefixes } = await decodePrefixSet(bytes)
        assert.ok(prefixes.every((prefix, i) => prefix < 2 ** bits && (i === 0 || prefix > prefixes[i - 1]!)))
      } catch (error) {
        assert.ok(isRefusal(error))
      }
    }), { numRuns: 2000 })
  })

  it('has prefixes of 24 bits more than its size needs, within bounds', () => {
    const counts = [0, 1, 2 ** 16, 2 ** 16 + 1, 2 ** 17, 2 ** 24, 2 ** 28, 2 ** 28 + 1, 2 ** 30]
    assert.deepEqual(counts.map(prefixBitsFor), [40, 40, 40, 41, 41, 48, 52, 52, 52])
    assert.equal(truncatePrefix(-1, -1, 40), 2 ** 40 - 1, 'signed halves are the same ones')
  })

  it('is refused above each limit for that limit alone', async () => {
    const set = (count: number, bits: number, rice: number, rest: readonly number[] = []): Uint8Array =>
      Uint8Array.of(1, count / 2 ** 24, count >> 16, count >> 8, count, bits, rice, ...rest)
    const { countMax, bitsMin, bitsMax } = PREFIX_SET_LIMITS
    assert.equal(countMax, 2 ** 24)
    for (const [bytes, why] of [
      [set(countMax + 1, 40, 0), /it claims too many pages/],
      [set(countMax, 40, 0), /it is cut short/],
      [set(0, bitsMin - 1, 0), /its prefix size/],
      [set(0, bitsMax + 1, 0), /its prefix size/],
      [set(0, 40, 52), /its Rice parameter/],
      [set(9, 40, 0, [0]), /it is cut short/],
      [Uint8Array.of(1, 0, 0, 0, 0, 40), /it is cut short/],
      [set(1, 40, 8, [0xff, 0]), /it is cut short/],
      [set(1, 32, 31, [0b1100_0000, 0, 0, 0, 0]), /a prefix is out of bounds/],
    ] as const) {
      await assert.rejects(() => decodePrefixSet(bytes), { code: 'bad-prefix-set', message: why })
    }
    for (const bits of [bitsMin, bitsMax]) assert.equal((await decodePrefixSet(set(0, bits, 51))).bits, bits)
    assert.deepEqual([...(await decodePrefixSet(set(8, 40, 0, [0]))).prefixes], [0, 1, 2, 3, 4, 5, 6, 7])
    const greatest = set(1, 32, 31, [0b1011_1111, 0xff, 0xff, 0xff, 0x80])
    assert.deepEqual([...(await decodePrefixSet(greatest)).prefixes], [2 ** 32 - 1])
  })
})
