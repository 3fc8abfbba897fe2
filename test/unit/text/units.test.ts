import assert from 'node:assert/strict'

import { formatBytes, formatDuration, formatRate, parseBytes, parseRate } from '../../../src/text/units.ts'

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
    const durations = [0, 119_400, 120_000, 7_100_000, 7_200_000, 172_700_000, 172_800_000].map(formatDuration)
    assert.deepEqual(durations, ['0 s', '119 s', '2 min', '118 min', '2 h', '48 h', '2 days'])
  })

  it('knows every unit by its own factor', () => {
    const sizes = {
      '': 1, B: 1, kB: 1e3, KB: 1e3, MB: 1e6, GB: 1e9, TB: 1e12,
      KiB: 1024, MiB: 1_048_576, GiB: 1_073_741_824, TiB: 1_099_511_627_776,
    }
    for (const [unit, bytes] of Object.entries(sizes)) assert.equal(parseBytes(`3${unit}`), 3 * bytes, unit)
    const rates = {
      bit: 1 / 8, kbit: 125, Kbit: 125, Mbit: 125_000, Gbit: 125_000_000,
      B: 1, kB: 1e3, MB: 1e6, GB: 1e9, KiB: 1024, MiB: 1_048_576, GiB: 1_073_741_824,
    }
    for (const [unit, bytes] of Object.entries(rates)) assert.equal(parseRate(`8000${unit}`), 8000 * bytes, unit)
  })

  it('changes the unit where a number would get a fourth digit', () => {
    const texts = { 0: '0 B', 999: '999 B', 1000: '1.0 kB', 999_949: '999.9 kB', 999_950: '1.0 MB', 1e9: '1.0 GB',
      1e12: '1.0 TB', 5e15: '5000.0 TB' }
    for (const [bytes, text] of Object.entries(texts)) assert.equal(formatBytes(Number(bytes)), text)
    const rates = [[0, '0 kbit/s'], [12_500, '100 kbit/s'], [124_999, '1000 kbit/s'], [125_000, '1 Mbit/s'],
      [50_000_000, '400 Mbit/s'], [124_999_999, '1000 Mbit/s'], [125e6, '1.00 Gbit/s'], [250e9, '2000.00 Gbit/s'],
      [50_000, '400 kbit/s']] as const
    for (const [bytesPerSecond, text] of rates) assert.equal(formatRate(bytesPerSecond), text)
  })
})
