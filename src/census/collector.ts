import { PageColumns, SortedTable } from '../page/index.ts'
import { assert } from '../runtime/assert.ts'
import { countShare, cutoffsFor, isKept, KINDS, noCutoffs, noShareCounts, type Kind } from './cutoffs.ts'
import { fingerprintOf, type Fingerprints } from './fingerprints.ts'
import { isVolatile, PAGE_NUMBERS_MAX, placeOf } from './place.ts'

/** How full the columns are left when pages had to go: the next time comes after as many more. */
const KEPT_SHARE = 0.75

/**
 * The pages of one scan, up to a number. When they no longer fit, equal ones become one; if that does not help,
 * volatile pages are left out, and then others by their ids. Which pages other guests hold is not known here.
 */
export class PageCollector {
  readonly #entriesMax: number
  readonly #columns: PageColumns
  readonly #previous: Fingerprints | undefined
  /** Of all pages, also those that are left out. */
  readonly fingerprints: Fingerprints
  #cutoffs = noCutoffs()
  /** Pages that were left out; such as are in the guest several times count several times. */
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

  /** Notes that the page of this prefix is held at page `number`. */
  note(high: number, low: number, number: number): void {
    const fingerprint = fingerprintOf(low)
    this.fingerprints[number] = fingerprint
    const isNew = this.#previous !== undefined && this.#previous[number] !== fingerprint
    const place = placeOf(number, isNew)
    if (this.#columns.isFull && isKept(this.#cutoffs, kindOf(place), low)) this.#makeRoom()
    if (this.#columns.isFull || !isKept(this.#cutoffs, kindOf(place), low)) this.omittedPages += 1
    else this.#columns.push(high, low, place)
  }

  /** What was noted and found room; the collector is spent. */
  finish(): SortedTable {
    return SortedTable.from(this.#columns)
  }

  #makeRoom(): void {
    const table = SortedTable.from(this.#columns)
    const counts = noShareCounts()
    table.forEach((_high, low, place) => countShare(counts, kindOf(place), low))
    // What an earlier cutoff left out is not among those counted: the new ones are never looser where pages are short.
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
