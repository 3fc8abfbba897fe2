import assert from 'node:assert/strict'

import fc from 'fast-check'

import {
  ANSWERS, decodeAnswer, decodeReportFrame, encodeAnswer, encodeAsk, encodeReport, NUMBER_MAX, type ReportHead,
} from '../../../../src/popularity/report/reportcodec.ts'
import { ReportGroups } from '../../../../src/popularity/report/reportgroups.ts'
import { REST_BITS, REST_LIMIT, SLICE_COUNT } from '../../../../src/popularity/slice.ts'
import { seededRandom } from '../../../support/random.ts'
import { groupsOf, isRefusal, listOf, restsOf, type ReportedGroup } from '../made.ts'

const HEAD: ReportHead = { incarnation: 0xff_fffe, number: 9, base: 7 }
const FRAME_BYTES_MAX = 57 * 1024

/** Decodes frames as an owner does; all must say the same about the report. */
function decodeAll(frames: readonly Uint8Array[], head: ReportHead): ReportGroups {
  const groups = new ReportGroups()
  for (const [index, frame] of frames.entries()) {
    assert.ok(frame.length <= FRAME_BYTES_MAX, `${frame.length} bytes`)
    const decoded = { ...decodeReportFrame(frame, groups) as object }
    assert.deepEqual(decoded, { ...head, isLast: index === frames.length - 1 })
  }
  return groups
}

/** Whole groups of pages drawn at random, as a census has them. */
function drawn(
  random: () => number, slices: number, pagesPerSlice: number, guestsOf = (): number => 1,
): ReportedGroup[] {
  return Array.from({ length: slices }, (_, slice) => ({
    slice: Math.floor((slice * SLICE_COUNT) / slices), isWhole: true,
    pages: restsOf(random, pagesPerSlice).map((rest) => [rest, guestsOf()] as const),
  }))
}

const rest = fc.oneof(fc.maxSafeNat().map((value) => value % REST_LIMIT), fc.nat(20), fc.constant(REST_LIMIT - 1))
const group = (slice: number): fc.Arbitrary<ReportedGroup> => fc.boolean().chain((isWhole) => fc.record({
  slice: fc.constant(slice), isWhole: fc.constant(isWhole),
  pages: fc.uniqueArray(fc.tuple(rest, fc.oneof(fc.constant(1), fc.integer({ min: isWhole ? 1 : 0, max: 1024 }))),
    { selector: ([value]) => value, maxLength: 12 }).map((pages) => pages.sort(([a], [b]) => a - b)),
}))
const report = fc.uniqueArray(fc.oneof(fc.nat(SLICE_COUNT - 1), fc.nat(5)), { maxLength: 12 })
  .chain((slices) => fc.tuple(...slices.sort((a, b) => a - b).map(group)))
/** As fast-check makes them records have no prototype. */
const plain = (list: readonly ReportedGroup[]): ReportedGroup[] => list.map((one) => ({ ...one }))
const head: fc.Arbitrary<ReportHead> = fc.record({
  incarnation: fc.nat(0xff_ffff), base: fc.oneof(fc.nat(), fc.constant(0)),
  number: fc.oneof(fc.integer({ min: 1, max: NUMBER_MAX }), fc.constant(1), fc.constant(NUMBER_MAX)),
}).map(({ incarnation, number, base }) => ({ incarnation, number, base: base % (number + 1) }))

describe('reports as bytes', () => {
  it('come back as they were', () => {
    fc.assert(fc.property(head, report, (reportHead, list) => {
      assert.deepEqual(listOf(decodeAll([...encodeReport(reportHead, groupsOf(list))], reportHead)), plain(list))
    }), { numRuns: 300 })
  })

  it('come back from many frames, also where a slice does not fit one', () => {
    const random = seededRandom(3)
    const list: ReportedGroup[] = [
      ...drawn(random, 3, 5000), { slice: 4000, isWhole: true, pages: [] },
      {
        slice: 4001, isWhole: false,
        pages: restsOf(random, 20_000).map((value, index) => [value, index % 3] as const),
      },
      { slice: 4002, isWhole: true, pages: restsOf(random, 12_288).map((value) => [value, 1024] as const) },
      { slice: 4003, isWhole: true, pages: [[5, 1]] },
    ]
    const frames = [...encodeReport(HEAD, groupsOf(list))]
    assert.ok(frames.length > 8)
    assert.deepEqual(listOf(decodeAll(frames, HEAD)), list)
  })

  it('come back from several parts that were encoded by themselves', () => {
    const [first, second] = [drawn(seededRandom(5), 2, 3), [{ slice: 4000, isWhole: true, pages: [[7, 2]] as const }]]
    const frames = [...encodeReport(HEAD, groupsOf(first), false), ...encodeReport(HEAD, groupsOf(second))]
    assert.deepEqual(listOf(decodeAll(frames, HEAD)), [...first, ...second])
  })

  it('of nothing take a dozen bytes', () => {
    const [frame, ...others] = [...encodeReport(HEAD, new ReportGroups())]
    assert.deepEqual(others, [])
    assert.ok(frame!.length <= 12, `${frame!.length} bytes`)
  })

  it('take little more than the entropy of what they say', () => {
    const random = seededRandom(11)
    const lines: string[] = []
    const sizes = [[20, 4096], [160, 1024], [250, 512], [700, 256], [1000, 128], [5000, 32]] as const
    for (const [pagesPerSlice, slices] of sizes) {
      // As the model of real guests has it: nearly all pages are held by one guest of a host.
      const list = drawn(random, slices, pagesPerSlice, () => (random() < 0.9 ? 1 : random() < 0.5 ? 2 : 3))
      const frames = [...encodeReport({ ...HEAD, base: 0 }, groupsOf(list))]
      const bytes = frames.reduce((sum, frame) => sum + frame.length, 0) / (slices * pagesPerSlice)
      // log2 of the number of sets of so many rests, by Stirling's formula, and the entropy of the guests.
      const rests = REST_BITS - Math.log2(pagesPerSlice) + Math.LOG2E -
        Math.log2(2 * Math.PI * pagesPerSlice) / 2 / pagesPerSlice
      const guests = -0.9 * Math.log2(0.9) - 0.1 * Math.log2(0.05)
      const bound = (rests + guests) / 8
      const share = (bytes / bound).toFixed(4)
      lines.push(`${pagesPerSlice} pages a slice: ${bytes.toFixed(3)} bytes a page, ${share} of entropy`)
      if (pagesPerSlice >= 160) assert.ok(bytes <= bound * 1.04, lines.at(-1))
    }
    console.log(lines.map((line) => `      ${line}`).join('\n'))
  })

  it('of changes take as many bytes as a small set must', () => {
    const random = seededRandom(12)
    const list = drawn(random, 100, 2, () => 1).map((one) => ({ ...one, isWhole: false }))
    const bytes = [...encodeReport(HEAD, groupsOf(list))].reduce((sum, frame) => sum + frame.length, 0)
    assert.ok(bytes / 200 < 9, `${bytes / 200} bytes a change`)
  })

  it('that are asks and answers come back too', () => {
    assert.equal(decodeReportFrame(encodeAsk(), new ReportGroups()), 'ask')
    for (const answer of ANSWERS) assert.equal(decodeAnswer(encodeAnswer(answer)), answer)
    for (const bytes of [[], [0], [1], [0x0d], [0x0f], [0x10], [0x08, 0]]) {
      assert.throws(() => decodeAnswer(Uint8Array.from(bytes)), isRefusal('bad-report', 'malformed'))
    }
  })

  it('cut short anywhere, or with something behind their end, are refused', () => {
    const [frame] = [...encodeReport(HEAD, groupsOf(drawn(seededRandom(1), 5, 9, () => 3)))] as [Uint8Array]
    for (let length = 0; length < frame.length; length++) {
      assert.throws(() => decodeReportFrame(frame.subarray(0, length), new ReportGroups()), isRefusal('bad-report'))
    }
    for (const bytes of [[...frame, 0], [...encodeAsk(), 0]]) {
      assert.throws(() => decodeReportFrame(Uint8Array.from(bytes), new ReportGroups()),
        isRefusal('bad-report', 'malformed'))
    }
  })

  it('of another version or kind, or against a version to come, are refused', () => {
    const [frame] = [...encodeReport(HEAD, new ReportGroups())] as [Uint8Array]
    for (const [at, byte] of [[0, 0], [0, 0x13], [0, 0x03], [0, 0x09], [0, 0x0f], [0, 0x0d], [0, 255]] as const) {
      const changed = Uint8Array.from(frame).fill(byte, at, at + 1)
      assert.throws(() => decodeReportFrame(changed, new ReportGroups()), isRefusal('bad-report', 'malformed'))
    }
    // A base below zero: an age that is greater than the number; and a number for which not every age can be written.
    for (const [number, base] of [[3, -2], [NUMBER_MAX + 1, 1]] as const) {
      const [bytes] = [...encodeReport({ incarnation: 1, number, base }, new ReportGroups())]
      assert.throws(() => decodeReportFrame(bytes!, new ReportGroups()), isRefusal('bad-report', 'malformed'))
    }
  })

  it('in which a slice comes twice or out of order are refused; a page cannot, by the way it is written', () => {
    const frameOf = (list: readonly ReportedGroup[]): Uint8Array => [...encodeReport(HEAD, groupsOf(list))][0]!
    const whole = (slice: number, ...rests: number[]): ReportedGroup =>
      ({ slice, isWhole: true, pages: rests.map((value) => [value, 1] as const) })
    const after = (...frames: Uint8Array[]): (() => void) => () => {
      const groups = new ReportGroups()
      for (const frame of frames) decodeReportFrame(frame, groups)
    }
    assert.doesNotThrow(after(frameOf([whole(3, 5)]), frameOf([{ ...whole(3, 6), isWhole: false }])))
    for (const second of [[whole(2, 5)], [whole(3, 6)], [{ ...whole(2, 5), isWhole: false }]]) {
      assert.throws(after(frameOf([whole(3, 5)]), frameOf(second)), isRefusal('bad-report', 'contradictory'))
    }
  })

  it('in which a whole slice has pages that nobody holds are refused', () => {
    const [frame] = [...encodeReport(HEAD, groupsOf([{ slice: 3, isWhole: true, pages: [[5, 0]] }]))]
    assert.throws(() => decodeReportFrame(frame!, new ReportGroups()), isRefusal('bad-report', 'contradictory'))
  })
})
