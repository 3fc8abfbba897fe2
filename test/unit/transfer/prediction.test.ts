import assert from 'node:assert/strict'

import type { PastMove } from '../../../src/transfer/pace.ts'
import { predict, type PredictionInit } from '../../../src/transfer/prediction.ts'

const REHEARSAL = {
  pages: 1000, zero: 200, ref: 500, sentBefore: 100, literal: 200, packedBytes: 4096 * 100, packedWireBytes: 4096 * 25,
  packMs: 10, readMs: 10, lookedAgain: 1000, changed: 0, betweenMs: 1000,
}
const PAST: PastMove = {
  to: 'b', mode: 'precopy', totalMs: 1000, downtimeMs: 60, wireBytes: 100e6, pages: { ref: 600, literal: 200 },
}
const INIT: PredictionInit = {
  rehearsal: REHEARSAL, to: 'b', ramPages: 1000, mode: 'precopy', exchangeBytes: 5000, linkBytesPerSecond: 100e6,
  bytesPerSecondMax: undefined, past: [PAST], timeoutMs: undefined, onTimeout: 'cancel',
}

describe('a prediction', () => {
  const expectedOf = (more: Partial<PredictionInit>) => predict({ ...INIT, ...more }).expected

  it('counts pages as they would travel', () => {
    const { pages, literalRatio, downtimeMs } = expectedOf({})
    assert.deepEqual(pages, { total: 1000, zero: 200, ref: 600, literal: 200 })
    assert.deepEqual([literalRatio, downtimeMs], [0.25, 60])
  })

  it('is for the whole of the memory where a part was looked at', () => {
    assert.deepEqual(expectedOf({ ramPages: 3000 }).pages, { total: 3000, zero: 600, ref: 1800, literal: 600 })
  })

  it('has literals at the ratio of the sample, references at some bytes, zero pages at almost none', () => {
    const bytesOf = (more: object) =>
      expectedOf({ ramPages: 1e6, rehearsal: { ...REHEARSAL, zero: 0, ref: 0, sentBefore: 0, literal: 0, ...more } })
    const perPage = (more: object) => (bytesOf(more).wireBytes - bytesOf({}).wireBytes) / 1e6
    assert.ok(Math.abs(perPage({ literal: 1000 }) - 1024) < 10)
    assert.ok(perPage({ ref: 1000 }) >= 16 && perPage({ ref: 1000 }) < 24)
    assert.ok(perPage({ zero: 1000 }) < 4)
    assert.equal(bytesOf({ literal: 1000 }).qemuBytes - bytesOf({}).qemuBytes, 1e6 * 4104)
  })

  it('takes literals for incompressible if none was compressed', () => {
    assert.equal(expectedOf({ rehearsal: { ...REHEARSAL, packedBytes: 0, packedWireBytes: 0 } }).literalRatio, 1)
  })

  it('takes the time of the slower of wire and work, beside what each handoff takes', () => {
    const past: PastMove[] = []
    const timeOf = (linkBytesPerSecond: number, more: object): number =>
      expectedOf({ past, linkBytesPerSecond, rehearsal: { ...REHEARSAL, ...more } }).totalMs!
    const quick = timeOf(1e12, { readMs: 0, packMs: 0 })
    assert.equal(timeOf(1e6, {}), Math.round(quick + expectedOf({}).wireBytes / 1000))
    // Three times the 800 pages that have bytes, and 200 literals of which 100 were compressed.
    assert.deepEqual([timeOf(1e12, { readMs: 100, packMs: 0 }), timeOf(1e12, { readMs: 0, packMs: 100 })],
      [quick + 300, quick + 600])
  })

  it('does not guess a time before anything is known of the way there', () => {
    const linkBytesPerSecond = undefined
    assert.equal(expectedOf({ linkBytesPerSecond, past: [] }).totalMs, null)
    assert.equal(expectedOf({ linkBytesPerSecond, past: [{ ...PAST, to: 'c' }] }).totalMs, null)
    assert.ok(expectedOf({ linkBytesPerSecond }).totalMs! > 0)
  })

  it('takes the downtime of handoffs to that host in that way', () => {
    for (const past of [[], [{ ...PAST, mode: 'postcopy' as const }], [{ ...PAST, downtimeMs: null }],
      [{ ...PAST, to: 'c' }]]) assert.equal(expectedOf({ past }).downtimeMs, null)
  })

  it('sends again what the guest changes meanwhile, and what it changes during that', () => {
    // 0.1 page in a millisecond; a literal takes 1028 bytes, a millisecond at this rate.
    const more = { linkBytesPerSecond: 1028e3, past: [] }
    const rehearsal = { ...REHEARSAL, changed: 100 }
    const before = expectedOf(more)
    const { totalMs, pages } = expectedOf({ ...more, rehearsal })
    const onWireMs = before.wireBytes / 1028
    const againMs = onWireMs / 0.9 - onWireMs
    assert.ok(Math.abs(totalMs! - before.totalMs! - againMs) <= 2, `${totalMs}, and ${before.totalMs} without changes`)
    assert.equal(pages.literal, Math.round(200 + 0.1 * onWireMs / 0.9))
    assert.equal(expectedOf({ ...more, rehearsal, mode: 'postcopy' }).totalMs, before.totalMs)
  })

  it('says that pre-copy would not end, and what helps', () => {
    const init = { ...INIT, ramPages: 1e6, linkBytesPerSecond: 1e6 }
    const rehearsal = { ...REHEARSAL, changed: 500 }
    const { expected, obstacles } = predict({ ...init, rehearsal })
    assert.equal(expected.totalMs, null)
    assert.deepEqual(obstacles.map(({ code }) => code), ['does-not-converge'])
    assert.match(obstacles[0]!.reason, /changes 2048 MB\/s, and 4 MB\/s of such pages.*--mode postcopy/)
    assert.deepEqual(predict({ ...init, rehearsal, onTimeout: 'pause' }).obstacles, [])
    assert.deepEqual(predict({ ...init, rehearsal, mode: 'postcopy' }).obstacles, [])
  })

  it('says that there is too little time, unless something else is done then', () => {
    const init = { ...INIT, ramPages: 1e6, timeoutMs: 1000 }
    assert.deepEqual(predict(init).obstacles.map(({ code }) => code), ['timeout'])
    assert.deepEqual(predict({ ...init, onTimeout: 'postcopy' }).obstacles, [])
    assert.deepEqual(predict({ ...init, timeoutMs: 1e6 }).obstacles, [])
  })
})
