import assert from 'node:assert/strict'

import fc from 'fast-check'

import {
  decodeBulletin, decodeViewPart, encodeBulletin, encodeViewPart,
} from '../../src/popularity/bulletin/bulletincodec.ts'
import { GROUP_KIND, type BulletinGroup } from '../../src/popularity/bulletin/bulletingroups.ts'
import { decodeRequest, encodeRequest } from '../../src/popularity/bulletin/viewexchange.ts'
import { LIMITS } from '../../src/popularity/limits.ts'
import { HOLDERS_MAX } from '../../src/popularity/popularrun.ts'
import {
  ANSWERS, decodeAnswer, decodeReportFrame, encodeAsk, encodeReport,
} from '../../src/popularity/report/reportcodec.ts'
import { ReportGroups } from '../../src/popularity/report/reportgroups.ts'
import { REST_LIMIT, SLICE_COUNT } from '../../src/popularity/slice.ts'
import { PagemeshError } from '../../src/runtime/errors.ts'
import { seededRandom } from '../support/random.ts'
import { bulletinGroup, groupsOf, restsOf } from '../unit/popularity/made.ts'

/** Runs of each property; a long run sets more. */
const RUNS = Number(process.env['PAGEMESH_FUZZ_RUNS'] ?? 300)
/** Far more than any message takes, even on a busy machine: this guards against hours. */
const DECODE_MS_MAX = 2_000
const REASONS = ['malformed', 'too-large', 'contradictory', 'absurd-count']

const random = seededRandom(1)

function pagesOf(count: number): (readonly [number, number])[] {
  return restsOf(random, count).map((rest, index) => [rest, 1 + (index % 3)] as const)
}

function bulletinGroups(publishers: readonly number[]): BulletinGroup[] {
  const { whole, still, changes, takeover } = GROUP_KIND
  return [whole, still, changes, takeover, whole].map((kind, index) => ({
    ...bulletinGroup(
      {
        slice: index * index * 200, kind, version: 1 + index * 40, incarnation: 9,
        publisher: publishers[index % publishers.length]!,
      },
      kind === GROUP_KIND.still ? [] : restsOf(random, 1 + index * 9).map((rest, page) =>
        ({ rest, hosts: 2 + (page % 5), guests: 9, holders: [1 + (page % 4), 5, 0] }))),
    ...(kind === GROUP_KIND.takeover ? { checksum: 0xabcd_ef01 } : {}),
  }))
}

/** Valid messages to be damaged. */
const HEAD = { incarnation: 0x6543_21ab, number: 12, base: 9 }
const FRAMES = [
  ...encodeReport(HEAD, groupsOf([
    { slice: 0, isWhole: true, pages: pagesOf(40) }, { slice: 7, isWhole: false, pages: [[5, 0], [9, 1]] },
    { slice: 4095, isWhole: true, pages: [] },
  ])),
  ...encodeReport({ ...HEAD, base: 0 }, groupsOf([{ slice: 77, isWhole: true, pages: pagesOf(9000) }])),
  encodeAsk(),
]
const BULLETINS = [bulletinGroups([1]), []].map((groups) => encodeBulletin({ incarnation: 9, groups }))
const PARTS = [encodeViewPart(bulletinGroups([1, 77, 78]), true), encodeViewPart(bulletinGroups([5]), false)]
const REQUESTS = [encodeRequest('all'), encodeRequest([0, 1, 9, 4000, 4095])]

/** Fragments that mislead a decoder sooner than random bytes: endless ones, large gammas, nothing. */
const fragment = fc.oneof(
  fc.uint8Array({ maxLength: 12 }),
  fc.constantFrom(
    new Uint8Array(30).fill(0xff), new Uint8Array(30), Uint8Array.of(0xff, 0xff, 0xff, 0xfe, 0xff, 0xff, 0xff, 0xff),
  ),
)

function damaged(messages: readonly Uint8Array[]): fc.Arbitrary<Uint8Array> {
  const wound = fc.record({ at: fc.double({ min: 0, max: 1, noNaN: true }), removed: fc.nat(10), added: fragment })
  const flip = fc.record({ at: fc.double({ min: 0, max: 1, noNaN: true }), bit: fc.nat(7) })
  return fc.tuple(fc.constantFrom(...messages), fc.array(wound, { maxLength: 2 }), fc.array(flip, { maxLength: 3 }))
    .map(([message, wounds, flips]) => {
      const bytes = wounds.reduce<Uint8Array>((before, { at, removed, added }) => {
        // Heads are at the start: damage is more frequent there.
        const place = Math.floor(at ** 3 * before.length)
        return Buffer.concat([before.subarray(0, place), added, before.subarray(place + removed)])
      }, Uint8Array.from(message))
      for (const { at, bit } of flips) bytes[Math.floor(at ** 3 * bytes.length)]! ^= 1 << bit
      return bytes
    })
}

function hostile(messages: readonly Uint8Array[]): fc.Arbitrary<Uint8Array> {
  const start = fc.tuple(fc.constantFrom(...messages), fc.nat(24), fc.uint8Array({ maxLength: 300 }))
    .map(([message, length, rest]) => Buffer.concat([message.subarray(0, length), rest]))
  const random = fc.uint8Array({ maxLength: 4000 })
  return fc.oneof({ weight: 6, arbitrary: damaged(messages) }, { weight: 3, arbitrary: start }, random)
}

/** Runs a decoder: its result, or undefined if it refused with its own code and a known reason, in time. */
function decoded<T>(code: string, decode: () => T): T | undefined {
  const began = performance.now()
  try {
    return decode()
  } catch (error) {
    const isOurs = error instanceof PagemeshError && error.code === code && error.fault === 'peer'
    assert.ok(isOurs, String((error as Error).stack))
    assert.ok(REASONS.includes(String(error.data['reason'])))
    return undefined
  } finally {
    assert.ok(performance.now() - began < DECODE_MS_MAX)
  }
}

/** Decoded rests rise, are within bounds, and take no more room than their bytes can stand for. */
function checkRests(rests: Float64Array, from: number, to: number): void {
  for (let page = from; page < to; page++) {
    assert.ok(Number.isSafeInteger(rests[page]) && rests[page]! >= 0 && rests[page]! < REST_LIMIT)
    assert.ok(page === from || rests[page]! > rests[page - 1]!)
  }
}

function checkGroups(groups: readonly BulletinGroup[], bytes: Uint8Array): void {
  let slice = -1
  let pagesAll = 0
  for (const { slice: next, version, pages } of groups) {
    assert.ok(next > slice && next < SLICE_COUNT && version >= 0 && version < 2 ** 32)
    slice = next
    checkRests(pages.rests, 0, pages.count)
    for (let page = 0; page < pages.count; page++) {
      assert.ok(pages.guests[page]! <= pages.hosts[page]! * LIMITS.guestsPerHost)
    }
    assert.ok(pages.holders.length >= pages.count * HOLDERS_MAX)
    pagesAll += pages.rests.length
  }
  assert.ok(pagesAll <= bytes.length * 8 && pagesAll <= LIMITS.pagesPerBulletin)
}

describe('decoders of popularity, whatever the bytes,', function () {
  this.timeout(0)

  it('read a frame of a report or refuse it', () => {
    let read = 0
    fc.assert(fc.property(hostile(FRAMES), fc.boolean(), (bytes, continues) => {
      const groups = new ReportGroups()
      if (continues) decodeReportFrame(FRAMES[0]!, groups)
      const countBefore = groups.count
      const frame = decoded('bad-report', () => decodeReportFrame(bytes, groups))
      const room = groups.rests.length
      assert.ok(room <= 32 + 2 * (countBefore + bytes.length * 4), `room for ${room} pages`)
      if (frame === undefined || frame === 'ask') return
      read += 1
      assert.ok(frame.number >= 1 && frame.base >= 0 && frame.base <= frame.number)
      for (let group = 0; group < groups.groupCount; group++) {
        assert.ok(groups.slices[group]! < SLICE_COUNT)
        assert.ok(group === 0 || groups.slices[group]! > groups.slices[group - 1]!)
        checkRests(groups.rests, groups.startOf(group), groups.ends[group]!)
      }
      assert.ok(groups.guests.subarray(0, groups.count).every((guests) => guests <= LIMITS.guestsPerHost))
      // Whatever was decoded can be encoded: the same again.
      const again = new ReportGroups()
      for (const own of encodeReport(frame, groups)) decodeReportFrame(own, again)
      assert.deepEqual(again.rests.slice(0, again.count), groups.rests.slice(0, groups.count))
    }), { numRuns: RUNS })
    assert.ok(read > 0)
  })

  it('read a bulletin or refuse it', () => {
    let read = 0
    fc.assert(fc.property(hostile([...BULLETINS, ...PARTS]), (bytes) => {
      const bulletin = decoded('bad-bulletin', () => decodeBulletin(bytes, 5))
      if (bulletin === undefined) return
      read += 1
      assert.ok(bulletin.groups.every(({ publisher }) => publisher === 5))
      checkGroups(bulletin.groups, bytes)
    }), { numRuns: RUNS })
    assert.ok(read > 0)
  })

  it('read a part of a view or refuse it', () => {
    let read = 0
    fc.assert(fc.property(hostile([...PARTS, ...BULLETINS]), (bytes) => {
      const part = decoded('bad-bulletin', () => decodeViewPart(bytes))
      if (part === undefined) return
      read += 1
      checkGroups(part.groups, bytes)
    }), { numRuns: RUNS })
    assert.ok(read > 0)
  })

  it('read a request for a view or refuse it', () => {
    let read = 0
    fc.assert(fc.property(hostile(REQUESTS), (bytes) => {
      const slices = decodeRequest(bytes)
      if (slices === undefined) return
      read += 1
      if (slices === 'all') return
      assert.ok(slices.every((slice, index) => slice < SLICE_COUNT && slice > (slices[index - 1] ?? -1)))
      assert.deepEqual(decodeRequest(encodeRequest(slices)), slices)
    }), { numRuns: RUNS })
    assert.ok(read > 0)
  })

  it('read an answer or refuse it', () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 4 }), (bytes) => {
      const answer = decoded('bad-report', () => decodeAnswer(bytes))
      assert.ok(answer === undefined || ANSWERS.includes(answer))
    }), { numRuns: RUNS })
  })
})
