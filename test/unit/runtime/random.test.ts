import assert from 'node:assert/strict'

import { systemRandom } from '../../../src/runtime/random.ts'

describe('randomness', () => {
  it('is as many bytes as are asked for, never the same', () => {
    const drawn = [systemRandom.bytes(16), systemRandom.bytes(16)].map((bytes) => Buffer.from(bytes).toString('hex'))
    assert.equal(drawn[0]!.length, 32)
    assert.notEqual(drawn[0], drawn[1])
    assert.equal(systemRandom.bytes(0).length, 0)
  })

  it('is spread over all fractions from 0 to below 1', () => {
    const fractions = Array.from({ length: 2000 }, () => systemRandom.fraction())
    assert.ok(fractions.every((fraction) => fraction >= 0 && fraction < 1))
    // That a tenth is met by none of 2000 has a chance of 10^-91.
    assert.equal(new Set(fractions.map((fraction) => Math.floor(fraction * 10))).size, 10)
  })
})
