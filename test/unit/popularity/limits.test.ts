/** One test a limit: what is at it is taken, and what is beyond is refused before it is built. */
import assert from 'node:assert/strict'

import { BitWriter } from '../../../src/bytes/bits.ts'
import {
  decodeBulletin, decodeViewPart, encodeBulletin, encodeViewPart,
} from '../../../src/popularity/bulletin/bulletincodec.ts'
import { GROUP_KIND } from '../../../src/popularity/bulletin/bulletingroups.ts'
import { LIMITS } from '../../../src/popularity/limits.ts'
import { decodeReportFrame, encodeReport, type ReportHead } from '../../../src/popularity/report/reportcodec.ts'
import { ReportGroups } from '../../../src/popularity/report/reportgroups.ts'
import { bulletinGroup, groupsOf, isRefusal, type PopularPage } from './made.ts'

const HEAD: ReportHead = { incarnation: 1, number: 1, base: 0 }
const SELF = 7

function frameOf(slice: number, pages: readonly (readonly [number, number])[], isWhole = true): Uint8Array {
  return encodeReport(HEAD, groupsOf([{ slice, isWhole, pages }])).next().value as Uint8Array
}

/** Pages next to each other, which take few bits. */
function rising(count: number, guests = 1): (readonly [number, number])[] {
  return Array.from({ length: count }, (_, rest) => [rest, guests] as const)
}

function popular(count: number, hosts = 2, guests = 2, holders: readonly number[] = []): PopularPage[] {
  return Array.from({ length: count }, (_, rest) => ({ rest, hosts, guests, holders }))
}

function bulletinOf(pages: readonly PopularPage[]): Uint8Array {
  const group = bulletinGroup({ slice: 3, kind: GROUP_KIND.whole, version: 1, publisher: SELF, incarnation: 1 }, pages)
  return encodeBulletin({ incarnation: 1, groups: [group] })
}

function partOf(pages: readonly PopularPage[]): Uint8Array {
  const head = { slice: 3, kind: GROUP_KIND.whole, version: 1, publisher: SELF, incarnation: 1 }
  return encodeViewPart([bulletinGroup(head, pages)], true)
}

/** A bulletin up to where its groups are counted, with as many hosts named as it says. */
function bulletinStart(tagCount: number, tags = tagCount): BitWriter {
  const out = new BitWriter()
  out.writeBits(1, 8)
  out.writeBits(0, 8)
  out.writeBits(1, 32)
  out.writeGamma(tagCount + 1)
  for (let tag = 1; tag <= tags; tag++) out.writeBits(tag, 32)
  return out
}

/** A bulletin of slices with so many pages each, next to each other, in the fewest bits that can be read. */
function denseBulletin(...counts: number[]): Uint8Array {
  const out = bulletinStart(0)
  out.writeBits(counts.length, 13)
  out.writeBits(0, 6)
  for (const count of counts) {
    out.writeGamma(1)
    out.writeBits(GROUP_KIND.changes, 2)
    out.writeGamma(2)
    out.writeGamma(count + 1)
    for (let page = 0; page < count; page++) out.writeUnary(0)
    // No hosts: popular no more.
    for (let page = 0; page < count; page++) out.writeGamma(1)
  }
  return out.finish()
}

describe('the limit of', () => {
  it('guests of a page on one host, in a report and in a bulletin', () => {
    const { guestsPerHost } = LIMITS
    assert.doesNotThrow(() => decodeReportFrame(frameOf(3, [[1, guestsPerHost]]), new ReportGroups()))
    assert.throws(() => decodeReportFrame(frameOf(3, [[1, guestsPerHost + 1]]), new ReportGroups()),
      isRefusal('bad-report', 'absurd-count'))
    assert.doesNotThrow(() => decodeBulletin(bulletinOf(popular(1, 2, 2 * guestsPerHost)), SELF))
    assert.throws(() => decodeBulletin(bulletinOf(popular(1, 2, 2 * guestsPerHost + 1)), SELF),
      isRefusal('bad-bulletin', 'absurd-count'))
  })

  it('pages of one slice in a report, over all of its frames', () => {
    const { pagesPerGroup } = LIMITS
    const groups = new ReportGroups()
    for (const frame of encodeReport(HEAD, groupsOf([{ slice: 3, isWhole: true, pages: rising(pagesPerGroup) }]))) {
      decodeReportFrame(frame, groups)
    }
    assert.equal(groups.count, pagesPerGroup)
    assert.throws(() => decodeReportFrame(frameOf(3, rising(1), false), groups), isRefusal('bad-report', 'too-large'))
    assert.doesNotThrow(() => decodeReportFrame(frameOf(4, rising(1)), groups))
  })

  it('pages of a report', () => {
    const groups = new ReportGroups()
    groups.begin(0, true)
    groups.count = LIMITS.pagesPerReport - 3
    assert.throws(() => decodeReportFrame(frameOf(3, rising(4)), groups), isRefusal('bad-report', 'too-large'))
    assert.equal(groups.rests.length, new ReportGroups().rests.length, 'nothing was made for them')
  })

  it('bytes of a frame of a report', () => {
    const bytes = new Uint8Array(LIMITS.frameBytes + 1025)
    bytes.set(frameOf(3, rising(1)))
    assert.throws(() => decodeReportFrame(bytes, new ReportGroups()), isRefusal('bad-report', 'too-large'))
    for (const frame of encodeReport(HEAD, groupsOf([{ slice: 3, isWhole: true, pages: rising(30_000, 1024) }]))) {
      assert.ok(frame.length <= LIMITS.frameBytes)
    }
  })

  it('bytes of a bulletin, and of a part of a view', () => {
    assert.throws(() => decodeBulletin(new Uint8Array(LIMITS.bulletinBytes + 1), SELF),
      isRefusal('bad-bulletin', 'too-large'))
    assert.throws(() => decodeViewPart(new Uint8Array(LIMITS.frameBytes + LIMITS.tagsPerBulletin * 4 + 1)),
      isRefusal('bad-bulletin', 'too-large'))
  })

  it('hosts named in a bulletin', () => {
    const { tagsPerBulletin } = LIMITS
    const start = bulletinStart(tagsPerBulletin)
    start.writeBits(0, 13 + 6)
    assert.doesNotThrow(() => decodeBulletin(start.finish(), SELF))
    const more = bulletinStart(tagsPerBulletin + 1)
    more.writeBits(0, 13 + 6)
    assert.throws(() => decodeBulletin(more.finish(), SELF), isRefusal('bad-bulletin', 'too-large'))
  })

  it('pages of a bulletin, over all of its slices', () => {
    const { pagesPerBulletin } = LIMITS
    assert.equal(decodeBulletin(denseBulletin(pagesPerBulletin), SELF).groups[0]!.pages.count, pagesPerBulletin)
    const dense = denseBulletin(pagesPerBulletin + 1)
    assert.throws(() => decodeBulletin(dense, SELF), isRefusal('bad-bulletin', 'too-large'))
    const halves = denseBulletin(pagesPerBulletin / 2, pagesPerBulletin / 2)
    assert.equal(decodeBulletin(halves, SELF).groups.length, 2)
    assert.throws(() => decodeBulletin(denseBulletin(pagesPerBulletin / 2, pagesPerBulletin / 2 + 1), SELF),
      isRefusal('bad-bulletin', 'too-large'))
  })

  it('pages of a slice that one host tells another', () => {
    const { pagesPerSlice } = LIMITS
    assert.doesNotThrow(() => decodeViewPart(partOf(popular(pagesPerSlice))))
    assert.throws(() => decodeViewPart(partOf(popular(pagesPerSlice + 1))), isRefusal('bad-bulletin', 'too-large'))
  })

  it('what bytes can hold: a count beyond it makes nothing', () => {
    // As many pages as may be, of which none is there.
    const report = new BitWriter()
    for (const [value, bits] of [[1, 8], [1, 7], [1, 1], [1, 32]] as const) report.writeBits(value, bits)
    for (const gamma of [1, 2]) report.writeGamma(gamma)
    report.writeBits(1, 13)
    report.writeBits(0, 6)
    report.writeGamma(1)
    report.writeBits(1, 1)
    report.writeGamma(LIMITS.pagesPerGroup + 1)
    const groups = new ReportGroups()
    assert.throws(() => decodeReportFrame(report.finish(), groups), isRefusal('bad-report', 'malformed'))
    assert.deepEqual([groups.groupCount, groups.rests.length], [0, new ReportGroups().rests.length])
    const bulletin = bulletinStart(LIMITS.tagsPerBulletin, 1).finish()
    assert.throws(() => decodeBulletin(bulletin, SELF), isRefusal('bad-bulletin', 'malformed'))
  })
})
