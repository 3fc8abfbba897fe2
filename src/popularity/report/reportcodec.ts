/**
 * Reports as bytes.
 *
 * Goals: each page at the entropy of its prefix; an empty report in a dozen bytes. Non-goals: a frame that can be read
 * without the frames before it; signatures (the stream identifies the origin).
 *
 *   origin                           owner
 *     frame* (the last one says so) ----->
 *                                   <-----  answer: accepted | need-whole | not-owner | full | refused
 *     the whole, if it was need-whole --->
 *
 *   owner                            origin
 *     ask  ------>                          an owner that has heard nothing: please report
 *
 *   frame  = version kind last incarnation number age groupCount rice group*
 *   version = 5 bits, 1      kind = 2 bits: 1 report, 2 ask (nothing follows)      last = 1 bit
 *   incarnation = 24 bits    number = gamma: the report's version, 1 to 2^32 - 2
 *   age    = gamma: number - base + 1; the changes are against the report of version `base`, 0: there is none
 *   groupCount = gamma of groupCount + 1        rice = 6 bits
 *   answer = version, 5 bits, and a number, 3 bits
 *   group  = gap whole count rising guests{count}
 *   gap    = gamma: slice - slice before, from -1       whole = 1 bit       count = gamma of count + 1
 *   rising = the rests, Golomb-Rice coded               guests = gamma: 1 is 1, 2 is "no longer held", n + 1 is n
 *
 * A group that does not fit a frame goes on in the next as changes of the same slice, its rests behind those before.
 */
import { BitReader, BitWriter } from '../../bytes/bits.ts'
import { readRising, RICE_MAX, riceFor, writeRising } from '../../page/index.ts'
import { PagemeshError } from '../../runtime/errors.ts'
import { LIMITS } from '../limits.ts'
import { REST_LIMIT, SLICE_COUNT } from '../slice.ts'
import type { ReportGroups } from './reportgroups.ts'

export const REPORT_PROTOCOL = '/pagemesh/report/2'

/** One less than gamma can write, because an age is written plus one. */
export const NUMBER_MAX = 2 ** 32 - 2
/** Seconds of half a year fit. */
export const INCARNATION_BITS = 24
const VERSION = 1
const VERSION_BITS = 5
const KIND_BITS = 2
const KIND = { report: 1, ask: 2 } as const
/** Most pages of a group per frame: at nine bytes each they fit. */
const PART_PAGES = 4096

export interface ReportHead {
  /** Second in which the origin started, modulo 2^INCARNATION_BITS; with another one, the versions restart. */
  incarnation: number
  /** Version of what is reported, 1 to NUMBER_MAX. */
  number: number
  /** The version that the changes refer to; 0 for a whole report. */
  base: number
}

/** One decoded frame; its groups were added to those of the frames before. */
export interface ReportFrame extends ReportHead {
  isLast: boolean
}

/** The frames of a report, or of a part of it that others follow: at least one. */
export function* encodeReport(head: ReportHead, groups: ReportGroups, isEnd = true): Generator<Uint8Array> {
  const rice = riceOf(groups)
  let part = new FramePart(groups)
  while (true) {
    const next = part.fill(rice)
    yield part.encode(head, rice, isEnd && next === undefined)
    if (next === undefined) return
    part = next
  }
}

export function encodeAsk(): Uint8Array {
  const out = new BitWriter(8)
  out.writeBits(VERSION, VERSION_BITS)
  out.writeBits(KIND.ask, KIND_BITS)
  out.writeBits(1, 1)
  return out.finish()
}

/**
 * Decodes a frame and adds its groups to `into`, which holds those of the frames before it; returns 'ask' for an ask.
 * Throws PagemeshError `bad-report`, with the reason in `data.reason`, on bytes that no Pagemesh origin writes.
 */
export function decodeReportFrame(bytes: Uint8Array, into: ReportGroups): ReportFrame | 'ask' {
  const input = new BitReader(bytes)
  if (bytes.length > LIMITS.frameBytes + 1024) throw bad('too-large', 'it is too long')
  if (input.readBits(VERSION_BITS) !== VERSION) throw bad('malformed', 'its version is unknown')
  const kind = input.readBits(KIND_BITS)
  const isLast = input.readBits(1) === 1
  if (kind === KIND.ask && isLast && bytes.length === 1) return 'ask'
  if (kind !== KIND.report) throw bad('malformed', 'its kind is unknown')
  const incarnation = input.readBits(INCARNATION_BITS)
  const number = input.readGamma()
  const base = number - input.readGamma() + 1
  const groupCount = input.readGamma() - 1
  const rice = input.readBits(6)
  const isPossible = number <= NUMBER_MAX && base >= 0 && groupCount <= SLICE_COUNT && rice <= RICE_MAX
  if (!isPossible) throw bad('malformed', 'its head is bad')
  const slicesBefore = into.lastSlice
  let slice = -1
  for (let group = 0; group < groupCount; group++) {
    slice += input.readGamma()
    if (!(slice < SLICE_COUNT) || input.exhausted) throw bad('malformed', 'its slices are out of bounds')
    if (group === 0 && slice < slicesBefore) throw bad('contradictory', 'a slice comes twice')
    readGroup(input, slice, rice, into)
  }
  if (input.exhausted || input.bitsLeft >= 8) throw bad('malformed', 'it does not end where it says')
  return { incarnation, number, base, isLast }
}

/** Why an owner did or did not take a report. */
export const ANSWERS = ['accepted', 'need-whole', 'not-owner', 'full', 'refused'] as const
export type Answer = (typeof ANSWERS)[number]

export function encodeAnswer(answer: Answer): Uint8Array {
  return Uint8Array.of((VERSION << (8 - VERSION_BITS)) | ANSWERS.indexOf(answer))
}

/** Throws PagemeshError `bad-report` if the bytes are no answer. */
export function decodeAnswer(bytes: Uint8Array): Answer {
  const answer = bytes[0]! >>> (8 - VERSION_BITS) === VERSION ? ANSWERS[bytes[0]! & 7] : undefined
  if (answer === undefined || bytes.length !== 1) throw bad('malformed', 'its answer is unknown')
  return answer
}

function bad(reason: string, why: string): PagemeshError {
  return new PagemeshError('bad-report', `A report of pages cannot be read: ${why}.`, {
    fault: 'peer', phase: 'reporting', data: { reason },
  })
}

/** One Rice parameter for the whole report: prefixes are random, so the mean gap decides. */
function riceOf(groups: ReportGroups): number {
  return riceFor(groups.groupCount * REST_LIMIT, groups.count)
}

/** The contents of one frame: groups from `#group` on, the first of them from page `#from` on. */
class FramePart {
  readonly #groups: ReportGroups
  readonly #group: number
  readonly #from: number
  readonly #body = new BitWriter(1024)
  #groupCount = 0

  constructor(groups: ReportGroups, group = 0, from = 0) {
    this.#groups = groups
    this.#group = group
    this.#from = from
  }

  /** Writes groups until the frame is full; returns the next part, if there is one. */
  fill(rice: number): FramePart | undefined {
    const { groupCount, ends } = this.#groups
    let from = this.#from
    let slice = -1
    for (let group = this.#group; group < groupCount; group++) {
      const count = Math.min(PART_PAGES, ends[group]! - from)
      if (this.#body.byteLength + (count + 1) * 10 > LIMITS.frameBytes) return new FramePart(this.#groups, group, from)
      this.#write(group, from, count, slice, rice)
      slice = this.#groups.slices[group]!
      from += count
      if (from < ends[group]!) return new FramePart(this.#groups, group, from)
    }
    return undefined
  }

  #write(group: number, from: number, count: number, sliceBefore: number, rice: number): void {
    const { slices, wholes, rests, guests } = this.#groups
    const out = this.#body
    const isContinued = from > this.#groups.startOf(group)
    out.writeGamma(slices[group]! - sliceBefore)
    out.writeBits(wholes[group] === 1 && !isContinued ? 1 : 0, 1)
    out.writeGamma(count + 1)
    writeRising(out, rests, from, count, rice, isContinued ? rests[from - 1] : undefined)
    for (let page = from; page < from + count; page++) out.writeGamma(codeOf(guests[page]!))
    this.#groupCount += 1
  }

  encode({ incarnation, number, base }: ReportHead, rice: number, isLast: boolean): Uint8Array {
    const out = new BitWriter(this.#body.byteLength + 24)
    out.writeBits(VERSION, VERSION_BITS)
    out.writeBits(KIND.report, KIND_BITS)
    out.writeBits(isLast ? 1 : 0, 1)
    out.writeBits(incarnation, INCARNATION_BITS)
    out.writeGamma(number)
    out.writeGamma(number - base + 1)
    out.writeGamma(this.#groupCount + 1)
    out.writeBits(rice, 6)
    out.writeAll(this.#body)
    return out.finish()
  }
}

/** The guest count as written: most pages have one guest, and 1 is gamma's shortest code. */
function codeOf(guests: number): number {
  return guests === 1 ? 1 : guests === 0 ? 2 : guests + 1
}

function readGroup(input: BitReader, slice: number, rice: number, into: ReportGroups): void {
  const isWhole = input.readBits(1) === 1
  const count = input.readGamma() - 1
  const continues = slice === into.lastSlice
  const countBefore = continues ? into.count - into.startOf(into.groupCount - 1) : 0
  if (!(countBefore + count <= LIMITS.pagesPerGroup)) throw bad('too-large', 'a slice has too many pages')
  if (into.count + count > LIMITS.pagesPerReport) throw bad('too-large', 'it has too many pages')
  if (count * (rice + 2) > input.bitsLeft) throw bad('malformed', 'it is cut short')
  if (continues && isWhole) throw bad('contradictory', 'a slice comes twice')
  if (!continues) into.begin(slice, isWhole)
  const group = into.groupCount - 1
  const rests = new Float64Array(count)
  const floor = countBefore > 0 ? into.rests[into.count - 1] : undefined
  const fault = readRising(input, rests, 0, count, rice, REST_LIMIT, floor)
  if (fault !== undefined) throw bad('malformed', fault)
  for (let page = 0; page < count; page++) into.push(rests[page]!, readGuests(input, into.wholes[group] === 1))
  if (input.exhausted) throw bad('malformed', 'it is cut short')
}

function readGuests(input: BitReader, isWhole: boolean): number {
  const code = input.readGamma()
  const guests = code === 1 ? 1 : code === 2 ? 0 : code - 1
  if (!(guests <= LIMITS.guestsPerHost)) throw bad('absurd-count', 'a page has more guests than a host can run')
  if (guests === 0 && isWhole) throw bad('contradictory', 'a page of a whole slice is held by nobody')
  return guests
}
