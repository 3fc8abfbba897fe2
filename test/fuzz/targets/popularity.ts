/** What hosts report and gossip of popular pages. */
import assert from 'node:assert/strict'

import {
  decodeBulletin, decodeViewPart, encodeBulletin, encodeViewPart,
} from '../../../src/popularity/bulletin/bulletincodec.ts'
import { checksumOf, GROUP_KIND, type BulletinGroup } from '../../../src/popularity/bulletin/bulletingroups.ts'
import { decodeRequest, encodeRequest } from '../../../src/popularity/bulletin/viewexchange.ts'
import { LIMITS } from '../../../src/popularity/limits.ts'
import {
  decodeAnswer, decodeReportFrame, encodeAnswer, encodeAsk, encodeReport,
} from '../../../src/popularity/report/reportcodec.ts'
import { ReportGroups } from '../../../src/popularity/report/reportgroups.ts'
import { REST_LIMIT, SLICE_COUNT } from '../../../src/popularity/slice.ts'
import { seededRandom } from '../../support/random.ts'
import { bulletinGroup, groupsOf, restsOf } from '../../unit/popularity/made.ts'
import type { Target } from '../target.ts'

const random = seededRandom(1)
const HEAD = { incarnation: 0x6543_21ab, number: 12, base: 9 }
const pagesOf = (count: number): (readonly [number, number])[] =>
  restsOf(random, count).map((rest, index) => [rest, 1 + (index % 3)] as const)

const FRAMES = [
  ...encodeReport(HEAD, groupsOf([
    { slice: 0, isWhole: true, pages: pagesOf(20) }, { slice: 7, isWhole: false, pages: [[5, 0], [9, 1]] },
    { slice: 4095, isWhole: true, pages: [] },
  ])),
  ...encodeReport({ ...HEAD, base: 0 }, groupsOf([{ slice: 77, isWhole: true, pages: pagesOf(500) }])), encodeAsk(),
]

function groups(publishers: readonly number[]): BulletinGroup[] {
  const { whole, still, changes, takeover } = GROUP_KIND
  return [whole, still, changes, takeover, whole].map((kind, index) => ({
    ...bulletinGroup(
      {
        slice: index * index * 200, kind, version: 1 + index * 40, incarnation: 9,
        publisher: publishers[index % publishers.length]!,
      },
      kind === still ? [] : restsOf(random, 1 + index * 5).map((rest, page) =>
        ({ rest, hosts: 2 + (page % 5), guests: 9, holders: [1 + (page % 4), 5, 0] }))),
    ...(kind === takeover ? { checksum: 0xabcd_ef01 } : {}),
  }))
}
const BULLETINS = [groups([1]), []].map((given) => encodeBulletin({ incarnation: 9, groups: given }))
const PARTS = [encodeViewPart(groups([1, 77, 78]), true), encodeViewPart(groups([5]), false)]

function checkRests(rests: Float64Array, from: number, to: number): void {
  for (let page = from; page < to; page++) {
    assert.ok(rests[page]! >= 0 && rests[page]! < REST_LIMIT && (page === from || rests[page]! > rests[page - 1]!))
  }
}

function checkGroups(read: readonly BulletinGroup[]): void {
  let slice = -1
  for (const { slice: next, pages } of read) {
    assert.ok(next > slice && next < SLICE_COUNT)
    slice = next
    checkRests(pages.rests, 0, pages.count)
    checksumOf(pages)
    for (let page = 0; page < pages.count; page++) {
      assert.ok(pages.guests[page]! <= pages.hosts[page]! * LIMITS.guestsPerHost)
    }
  }
}

export const POPULARITY_TARGETS: readonly Target[] = [
  {
    name: 'report', seeds: FRAMES, refusals: ['bad-report'], room: 2 ** 20,
    decode(input) {
      const read = new ReportGroups()
      const frame = decodeReportFrame(input, read)
      if (frame === 'ask') return frame
      assert.ok(frame.number >= 1 && frame.base >= 0 && frame.base <= frame.number)
      for (let group = 0; group < read.groupCount; group++) {
        assert.ok(read.slices[group]! < SLICE_COUNT && (group === 0 || read.slices[group]! > read.slices[group - 1]!))
        checkRests(read.rests, read.startOf(group), read.ends[group]!)
      }
      return { frame, groups: read.groupCount, pages: read.rests.length }
    },
  },
  {
    name: 'report-answer', seeds: [encodeAnswer('accepted')], refusals: ['bad-report'], bytesMax: 16,
    decode: (input) => decodeAnswer(input),
  },
  {
    name: 'bulletin', seeds: [...BULLETINS, ...PARTS], refusals: ['bad-bulletin'], room: 2 ** 20,
    decode(input) {
      const { groups: read } = decodeBulletin(input, 5)
      checkGroups(read)
      return read
    },
  },
  {
    name: 'view-part', seeds: PARTS, refusals: ['bad-bulletin'], room: 2 ** 20,
    decode(input) {
      const part = decodeViewPart(input)
      checkGroups(part.groups)
      return part
    },
  },
  {
    name: 'view-request', seeds: [encodeRequest('all'), encodeRequest([0, 1, 9, 4000, 4095])],
    decode(input) {
      const slices = decodeRequest(input)
      if (slices !== undefined && slices !== 'all') assert.deepEqual(decodeRequest(encodeRequest(slices)), slices)
      return slices
    },
  },
]
