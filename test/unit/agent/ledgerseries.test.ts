import assert from 'node:assert/strict'

import { LedgerSeries, SAMPLES_MAX } from '../../../src/agent/ledgerseries.ts'

describe('the ledger over time', () => {
  it('has a sample each ten seconds, and no more', () => {
    const series = new LedgerSeries()
    for (let now = 0; now <= 25_000; now += 1000) series.note(now, { savedBytes: now, spentBytes: 1 })
    assert.deepEqual(series.list(25_000), [
      { agoMs: 25_000, savedBytes: 0, spentBytes: 1 }, { agoMs: 15_000, savedBytes: 10_000, spentBytes: 1 },
      { agoMs: 5000, savedBytes: 20_000, spentBytes: 1 },
    ])
  })

  it('stays bounded, evenly spread, and reaches back to the start', () => {
    const series = new LedgerSeries()
    const days = 30 * 86_400_000
    for (let now = 0; now <= days; now += 10_000) series.note(now, { savedBytes: now, spentBytes: 0 })
    const samples = series.list(days)
    assert.ok(samples.length >= SAMPLES_MAX / 2 && samples.length <= SAMPLES_MAX)
    assert.equal(samples[0]!.agoMs, days)
    const gaps = new Set(samples.slice(1).map(({ agoMs }, index) => samples[index]!.agoMs - agoMs))
    assert.equal(gaps.size, 1)
  })
})
