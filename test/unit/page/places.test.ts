import assert from 'node:assert/strict'

import fc from 'fast-check'

import { isStraight, placesOf, runEnd } from '../../../src/page/places.ts'

describe('places of a batch', () => {
  it('come in rising order, and runs cover them all within their bounds', () => {
    const wanted = fc.array(fc.oneof(fc.integer({ min: -1, max: 60 }), fc.nat(2 ** 30)), { maxLength: 80 })
    fc.assert(fc.property(wanted, fc.nat(4), fc.integer({ min: 1, max: 16 }), (numbers, gapMax, pagesMax) => {
      const places = placesOf(Int32Array.from(numbers))
      const expected = numbers.map((number, index) => ({ number, index })).filter(({ number }) => number >= 0)
        .sort((a, b) => a.number - b.number || a.index - b.index)
      assert.deepEqual([...places.numbers], expected.map(({ number }) => number))
      assert.deepEqual([...places.indices], expected.map(({ index }) => index))
      for (let first = 0, behind = 0; first < places.count; first = behind) {
        behind = runEnd(places, first, gapMax, pagesMax)
        assert.ok(behind > first && behind <= places.count && behind - first <= pagesMax)
        assert.ok(places.numbers[behind - 1]! - places.numbers[first]! < pagesMax)
        const run = expected.slice(first, behind)
        assert.ok(run.every(({ number }, at) => at === 0 || number - run[at - 1]!.number <= gapMax + 1))
        assert.equal(isStraight(places, first, behind),
          run.every(({ number, index }, at) => number - run[0]!.number === at && index - run[0]!.index === at))
      }
    }))
  })
})
