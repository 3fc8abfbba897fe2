import assert from 'node:assert/strict'

import { predict, ratesOf, type PastMove, type PredictionInit } from '../../../src/transfer/prediction.ts'

const REHEARSAL = {
  pages: 1000, zero: 200, ref: 500, sentBefore: 100, literal: 200, packedBytes: 4096 * 100, packedWireBytes: 4096 * 25,
  lookedAgain: 1000, changed: 0, betweenMs: 1000,
}
const PAST: PastMove = { mode: 'precopy', totalMs: 1000, downtimeMs: 60, qemuBytes: 400e6, wireBytes: 100e6 }
const INIT: PredictionInit = {
  rehearsal: REHEARSAL, ramPages: 1000, mode: 'precopy', exchangeBytes: 5000, rates: { wire: 100e6, qemu: 400e6 },
  past: [PAST], timeoutMs: undefined, onTimeout: 'cancel',
}

describe('the rates to a host', () => {
  const none = { linkBytesPerSecond: undefined, bytesPerSecondMax: undefined }

  it('are not known without a measurement, an earlier handoff or a limit', () => {
    assert.deepEqual(ratesOf([], none), { wire: undefined, qemu: undefined })
  })

  it('are the best of earlier handoffs that sent enough to tell', () => {
    const slower = { ...PAST, totalMs: 2000 }
    const little = { ...PAST, totalMs: 10, wireBytes: 1e6, qemuBytes: 2e6 }
    assert.deepEqual(ratesOf([slower, PAST, little], none), { wire: 100e6, qemu: 400e6 })
  })

  it('are those of the newest only', () => {
    const slower = { ...PAST, totalMs: 2000 }
    assert.deepEqual(ratesOf([...Array.from({ length: 8 }, () => slower), PAST], none), { wire: 50e6, qemu: 200e6 })
  })

  it('are as measured, within the limit asked for', () => {
    assert.equal(ratesOf([PAST], { ...none, linkBytesPerSecond: 30e6 }).wire, 30e6)
    assert.equal(ratesOf([PAST], { ...none, bytesPerSecondMax: 20e6 }).wire, 20e6)
    assert.equal(ratesOf([], { ...none, bytesPerSecondMax: 20e6 }).wire, 20e6)
  })
})

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

  it('takes the time of the slower of wire and QEMU', () => {
    const { wireBytes, qemuBytes } = expectedOf({})
    assert.equal(expectedOf({ rates: { wire: 1e6, qemu: 400e6 } }).totalMs, Math.round(wireBytes / 1000))
    assert.equal(expectedOf({ rates: { wire: 100e6, qemu: 1e6 } }).totalMs, Math.round(qemuBytes / 1000))
  })

  it('does not guess a time: only where little is sent QEMU\'s own rate is enough', () => {
    assert.equal(expectedOf({ rates: { wire: undefined, qemu: undefined } }).totalMs, null)
    assert.ok(expectedOf({ rates: { wire: undefined, qemu: 1e6 } }).totalMs! > 0)
    assert.equal(expectedOf({ ramPages: 1e6, rates: { wire: undefined, qemu: 1e6 } }).totalMs, null)
    assert.equal(expectedOf({ past: [] }).downtimeMs, null)
    assert.equal(expectedOf({ past: [{ ...PAST, mode: 'postcopy' }] }).downtimeMs, null)
    assert.equal(expectedOf({ past: [{ ...PAST, downtimeMs: null }] }).downtimeMs, null)
  })

  it('sends again what the guest changes meanwhile, and what it changes during that', () => {
    // 0.1 page in a millisecond; a literal takes 1028 bytes, a millisecond at this rate.
    const rates = { wire: 1028e3, qemu: undefined }
    const rehearsal = { ...REHEARSAL, changed: 100 }
    const before = expectedOf({ rates }).totalMs!
    const { totalMs, pages } = expectedOf({ rates, rehearsal })
    assert.ok(Math.abs(totalMs! - before / 0.9) <= 2, `${totalMs} ms, and ${before} without changes`)
    assert.equal(pages.literal, Math.round(200 + 0.1 * before / 0.9))
    assert.equal(expectedOf({ rates, rehearsal, mode: 'postcopy' }).totalMs, before)
  })

  it('says that pre-copy would not end, and what helps', () => {
    const init = { ...INIT, ramPages: 1e6, rates: { wire: 1e6, qemu: undefined } }
    const rehearsal = { ...REHEARSAL, changed: 500 }
    const { expected, obstacles } = predict({ ...init, rehearsal })
    assert.equal(expected.totalMs, null)
    assert.deepEqual(obstacles.map(({ code }) => code), ['does-not-converge'])
    assert.match(obstacles[0]!.reason, /changes 2048 MB\/s.*carried 1 MB\/s.*--mode postcopy/)
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
