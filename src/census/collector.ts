import { PageColumns, SortedTable } from '../page/index.ts'
import { assert } from '../runtime/assert.ts'
import { countShare, cutoffsFor, isKept, KINDS, noCutoffs, noShareCounts, type Kind } from './cutoffs.ts'
import { fingerprintOf, type Fingerprints } from './fingerprints.ts'
import { isVolatile, PAGE_NUMBERS_MAX, placeOf } from './place.ts'

/** Fill level after pages were left out: the free rest delays the next time. */
const KEPT_SHARE = 0.75

/**
 * Collects the pages of one scan, up to a maximum. When it is full, equal pages are merged; if that does not suffice,
 * volatile pages are left out, then others by their ids. It does not know which pages other guests hold.
 */
export class PageCollector {
  readonly #entriesMax: number
  readonly #columns: PageColumns
  readonly #previous: Fingerprints | undefined
  /** Fingerprints of all pages, including those left out. */
  readonly fingerprints: Fingerprints
  #cutoffs = noCutoffs()
  /** Pages that were left out; each copy of a page counts. */
  omittedPages = 0

  /** @param pageCount pages of the guest. @param previous what its scan before found, if there was one. */
  constructor(pageCount: number, entriesMax: number, previous: Fingerprints | undefined) {
    assert(pageCount <= PAGE_NUMBERS_MAX, 'a guest has at most 8 TiB')
    assert(previous === undefined || previous.length === pageCount, 'the scan before saw the same memory')
    this.#entriesMax = entriesMax
    this.#columns = new PageColumns(Math.min(pageCount, entriesMax))
    this.#previous = previous
    this.fingerprints = new Uint16Array(pageCount)
  }

  /** Records that the page with this prefix is at page `number`. */
  note(high: number, low: number, number: number): void {
    const fingerprint = fingerprintOf(low)
    this.fingerprints[number] = fingerprint
    const isNew = this.#previous !== undefined && this.#previous[number] !== fingerprint
    const place = placeOf(number, isNew)
    if (this.#columns.isFull && isKept(this.#cutoffs, kindOf(place), low)) this.#makeRoom()
    if (this.#columns.isFull || !isKept(this.#cutoffs, kindOf(place), low)) this.omittedPages += 1
    else this.#columns.push(high, low, place)
  }

  /** Returns the table of the collected pages; the collector cannot be used afterwards. */
  finish(): SortedTable {
    return SortedTable.from(this.#columns)
  }

  #makeRoom(): void {
    const table = SortedTable.from(this.#columns)
    const counts = noShareCounts()
    table.forEach((_high, low, place) => countShare(counts, kindOf(place), low))
    // The counts lack the pages that earlier cutoffs left out, so the stricter cutoff of both is kept.
    const cutoffs = cutoffsFor(counts, Math.floor(this.#entriesMax * KEPT_SHARE))
    this.#cutoffs = this.#cutoffs.map((before, kind) => Math.min(before, cutoffs[kind]!))
    this.#columns.clear()
    table.forEach((high, low, place) => {
      if (isKept(this.#cutoffs, kindOf(place), low)) this.#columns.push(high, low, place)
      else this.omittedPages += 1
    })
  }
}

function kindOf(place: number): Kind {
  return isVolatile(place) ? KINDS.volatile : KINDS.single
}
