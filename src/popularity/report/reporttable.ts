import { firstHighOf, highOf, lastHighOf, lowOf, restOf, sliceOf } from '../slice.ts'
import type { Answer, ReportHead } from './reportcodec.ts'
import type { ReportGroups } from './reportgroups.ts'

/** 32-bit words per page: both halves of its prefix, and its guests. */
const WORDS = 3

interface Origin {
  incarnation: number
  /** Version of the last report. */
  number: number
  /** WORDS for each page, in rising order. */
  pages: Uint32Array
}

/**
 * The reports of other hosts, in full, 12 bytes a page. They are kept per origin, so that a repeated report counts
 * once, and a host that leaves takes only its own share along.
 */
export class ReportTable {
  readonly #pagesMax: number
  readonly #hostCount: () => number
  readonly #origins = new Map<string, Origin>()
  /** Hosts whose report did not fit. */
  readonly #turnedAway = new Set<string>()
  #pages = 0

  /**
   * @param init.pagesMax pages of all origins together; a report that does not fit is answered with `full`. With
   * several origins no one may take more than half: it could claim any pages.
   * @param init.hostCount how many hosts there are, this one among them.
   */
  constructor(init: { pagesMax: number; hostCount: () => number }) {
    this.#pagesMax = init.pagesMax
    this.#hostCount = init.hostCount
  }

  get pages(): number {
    return this.#pages
  }

  get bytes(): number {
    return this.#pages * WORDS * Uint32Array.BYTES_PER_ELEMENT
  }

  /** Whether a host has reported, even if its report did not fit. */
  has(origin: string): boolean {
    return this.#origins.has(origin) || this.#turnedAway.has(origin)
  }

  /**
   * Takes a report with all its frames. Answers `refused` to one older than the last, which no Pagemesh origin sends.
   * Changes carry a page's new state, not an increment: after a lost answer the same changes may come again, but none
   * may be missing in between.
   */
  apply(originName: string, head: ReportHead, groups: ReportGroups): Answer {
    const known = this.#origins.get(originName)
    const before = known?.incarnation === head.incarnation ? known : undefined
    if (before !== undefined && head.number < before.number) return 'refused'
    if (head.base > (before?.number ?? 0)) return 'need-whole'
    const merged = merge(before?.pages ?? new Uint32Array(0), groups)
    const pages = this.#pages + (merged.length - (known?.pages.length ?? 0)) / WORDS
    const ownPagesMax = this.#hostCount() > 2 ? this.#pagesMax / 2 : this.#pagesMax
    if (pages > this.#pagesMax || merged.length / WORDS > ownPagesMax) {
      this.#turnedAway.add(originName)
      return 'full'
    }
    this.#turnedAway.delete(originName)
    this.#pages = pages
    this.#origins.set(originName, { incarnation: head.incarnation, number: head.number, pages: merged })
    return 'accepted'
  }

  /** Forgets a host's report. Returns the slices that it touched. */
  drop(originName: string): number[] {
    this.#turnedAway.delete(originName)
    const origin = this.#origins.get(originName)
    if (origin === undefined) return []
    this.#origins.delete(originName)
    this.#pages -= origin.pages.length / WORDS
    const slices = new Set<number>()
    for (let at = 0; at < origin.pages.length; at += WORDS) slices.add(sliceOf(origin.pages[at]!))
    return [...slices]
  }

  /** Drops the pages of all slices that `isWanted` rejects: other owners have them now. */
  retain(isWanted: (slice: number) => boolean): void {
    for (const origin of this.#origins.values()) {
      const kept = new Uint32Array(origin.pages.length)
      let length = 0
      for (let at = 0; at < origin.pages.length; at += WORDS) {
        if (!isWanted(sliceOf(origin.pages[at]!))) continue
        for (let word = 0; word < WORDS; word++) kept[length++] = origin.pages[at + word]!
      }
      if (length === origin.pages.length) continue
      this.#pages -= (origin.pages.length - length) / WORDS
      origin.pages = kept.slice(0, length)
    }
  }

  /** Calls `visit` with every page of a slice that was reported, origin by origin. */
  forEach(slice: number, visit: (origin: string, rest: number, guests: number) => void): void {
    const first = firstHighOf(slice)
    const last = lastHighOf(slice)
    for (const [name, { pages }] of this.#origins) {
      for (let at = lowerBound(pages, first); at < pages.length && pages[at]! <= last; at += WORDS) {
        visit(name, restOf(pages[at]!, pages[at + 1]!), pages[at + 2]!)
      }
    }
  }
}

/** Index of the first page whose high half is not below `high`. */
function lowerBound(pages: Uint32Array, high: number): number {
  let from = 0
  let to = pages.length / WORDS
  while (from < to) {
    const middle = (from + to) >>> 1
    if (pages[middle * WORDS]! < high) from = middle + 1
    else to = middle
  }
  return from * WORDS
}

/** The pages after applying `groups` to those before. */
function merge(before: Uint32Array, groups: ReportGroups): Uint32Array {
  const out = new Uint32Array(before.length + groups.count * WORDS)
  let length = 0
  let at = 0
  const keep = (): void => {
    for (let word = 0; word < WORDS; word++) out[length++] = before[at + word]!
    at += WORDS
  }
  for (let group = 0; group < groups.groupCount; group++) {
    const slice = groups.slices[group]!
    const isWhole = groups.wholes[group] === 1
    const first = firstHighOf(slice)
    const last = lastHighOf(slice)
    while (at < before.length && before[at]! < first) keep()
    for (let page = groups.startOf(group); page < groups.ends[group]!; page++) {
      const rest = groups.rests[page]!
      const high = highOf(slice, rest)
      const low = lowOf(rest)
      while (at < before.length && isBefore(before, at, high, low)) {
        if (isWhole) at += WORDS
        else keep()
      }
      if (at < before.length && before[at] === high && before[at + 1] === low) at += WORDS
      if (groups.guests[page] === 0) continue
      out[length++] = high
      out[length++] = low
      out[length++] = groups.guests[page]!
    }
    if (isWhole) while (at < before.length && before[at]! <= last) at += WORDS
  }
  while (at < before.length) keep()
  return length === out.length ? out : out.slice(0, length)
}

function isBefore(pages: Uint32Array, at: number, high: number, low: number): boolean {
  return pages[at]! < high || (pages[at] === high && pages[at + 1]! < low)
}
