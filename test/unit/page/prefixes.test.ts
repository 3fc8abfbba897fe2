import assert from 'node:assert/strict'
import fc from 'fast-check'

import { isAmong } from '../../../src/page/index.ts'

describe('prefixes in rising order', () => {
  it('have one or not, by both halves', () => {
    const half = fc.integer({ min: 0, max: 3 }).map((value) => [0, 1, 2 ** 31, 2 ** 32 - 1][value]!)
    fc.assert(fc.property(fc.uniqueArray(fc.tuple(half, half), { selector: String }), fc.tuple(half, half),
      (pairs, [high, low]) => {
        pairs.sort((one, other) => one[0] - other[0] || one[1] - other[1])
        const prefixes = {
          count: pairs.length, high: Uint32Array.from([...pairs.map(([first]) => first), high]),
          low: Uint32Array.from([...pairs.map(([, second]) => second), low]),
        }
        assert.equal(isAmong(prefixes, high, low), pairs.some((pair) => pair[0] === high && pair[1] === low))
      }))
  })
})
