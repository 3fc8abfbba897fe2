import assert from 'node:assert/strict'

import { formatBytes, formatRate, parseBytes, parseRate } from '../../../src/runtime/units.ts'

describe('units', () => {
  it('reads sizes and rates as operators write them', () => {
    assert.deepEqual(['1GiB', '512 MB', '4096', '1.5kB'].map(parseBytes), [2 ** 30, 512e6, 4096, 1500])
    assert.deepEqual(['500Mbit', '1Gbit/s', '100MB/s', '10kbps'].map(parseRate), [62.5e6, 125e6, 100e6, undefined])
    assert.deepEqual(['', '-1', 'GiB', '1 XB', '1e3', '9e999'].map(parseBytes), Array(6).fill(undefined))
    assert.equal(parseRate('12'), undefined, 'a rate needs its unit')
  })

  it('writes them for people', () => {
    assert.equal(formatBytes(999), '999 B')
    assert.equal(formatBytes(31_940_000), '31.9 MB')
    assert.equal(formatBytes(-31_940_000), '-31.9 MB')
    assert.equal(formatRate(125e6), '1.00 Gbit/s')
    assert.equal(formatRate(101.5e6), '812 Mbit/s')
  })
})
