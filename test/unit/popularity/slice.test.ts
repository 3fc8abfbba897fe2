import assert from 'node:assert/strict'

import fc from 'fast-check'

import {
  firstHighOf, highOf, lastHighOf, lowOf, REST_LIMIT, restOf, SLICE_COUNT, sliceOf,
} from '../../../src/popularity/slice.ts'

const half = fc.oneof(fc.nat(0xffff_ffff), fc.constantFrom(0, 1, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff))

describe('slices', () => {
  it('and rests are the first bits of a prefix and the others', () => {
    fc.assert(fc.property(half, half, (high, low) => {
      const prefix = BigInt(high) << 32n | BigInt(low)
      const slice = sliceOf(high)
      const rest = restOf(high, low)
      assert.equal(slice, Number(prefix >> 52n))
      assert.equal(rest, Number(prefix & (2n ** 52n - 1n)))
      assert.ok(slice < SLICE_COUNT && rest < REST_LIMIT)
      assert.deepEqual([highOf(slice, rest), lowOf(rest)], [high, low])
      assert.ok(firstHighOf(slice) <= high && high <= lastHighOf(slice))
      // Halves may come with a sign, as bit operations leave them.
      assert.deepEqual([sliceOf(high | 0), restOf(high | 0, low | 0)], [slice, rest])
    }))
  })

  it('lie next to each other', () => {
    assert.equal(firstHighOf(0), 0)
    assert.equal(lastHighOf(SLICE_COUNT - 1), 0xffff_ffff)
    for (let slice = 1; slice < SLICE_COUNT; slice++) assert.equal(firstHighOf(slice), lastHighOf(slice - 1) + 1)
  })
})
