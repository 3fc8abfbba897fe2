import { hasBit } from '../bytes/bits.ts'
import { assert } from '../runtime/assert.ts'
import { PageColumns } from './pagecolumns.ts'
import { sortColumns, startsOf, type SortedColumns } from './sortcolumns.ts'

const ENTRY_BYTES = 12
/** Most bytes of `starts` for each entry: four for every four entries. */
const START_BYTES = 1
/** Approximate size of an empty table, bytes. */
const TABLE_BYTES = 16
/** Up to this many entries are searched linearly; a larger range is bisected first. */
const WALK_ENTRIES_MAX = 64

/**
 * Maps the 64-bit prefix of a page id to a number below 2^32, as columns in rising order: 13 bytes an entry. Immutable
 * and sorted, so that tables can be merged. Entries have an index.
 *
 * Prefixes come from a keyed hash and are spread evenly: their topmost bits lead to within eight entries of the right
 * one. Unevenly spread prefixes work too, but more slowly.
 */
export class SortedTable {
  #high: Uint32Array<ArrayBuffer>
  #low: Uint32Array<ArrayBuffer>
  #values: Uint32Array<ArrayBuffer>
  #starts: Uint32Array<ArrayBuffer>
  /** Right shift from the high half of a prefix to its index in `starts`. */
  #shift: number

  private constructor({ high, low, values, starts }: SortedColumns) {
    assert(high.length === low.length && high.length === values.length, 'columns are of one length')
    this.#high = high
    this.#low = low
    this.#values = values
    this.#starts = starts
    this.#shift = 32 - Math.log2(starts.length - 1)
  }

  /** A table of these pages; of equal prefixes the one with the smallest value stays. */
  static from(columns: PageColumns): SortedTable {
    return new SortedTable(sortColumns(columns))
  }

  /** A table of pages that are already in rising order, each prefix once. */
  static fromRising(columns: Omit<SortedColumns, 'starts'>): SortedTable {
    return new SortedTable({ ...columns, starts: startsOf(columns.high) })
  }

  static empty(): SortedTable {
    return SortedTable.from(new PageColumns(0))
  }

  /** Number of entries that fit in `tableCount` tables with at most `bytes` together. */
  static entriesIn(bytes: number, tableCount: number): number {
    return Math.max(0, Math.floor((bytes - tableCount * TABLE_BYTES) / (ENTRY_BYTES + START_BYTES)))
  }

  get size(): number {
    return this.#high.length
  }

  /** Memory that the table takes, bytes. */
  get bytes(): number {
    return this.size * ENTRY_BYTES + this.#starts.byteLength
  }

  highAt(index: number): number {
    return this.#high[index]!
  }

  lowAt(index: number): number {
    return this.#low[index]!
  }

  valueAt(index: number): number {
    return this.#values[index]!
  }

  /** The index of a prefix, or -1. */
  indexOf(high: number, low: number): number {
    const wantedHigh = high >>> 0
    const wantedLow = low >>> 0
    const index = this.firstFrom(wantedHigh, wantedLow)
    return this.#high[index] === wantedHigh && this.#low[index] === wantedLow ? index : -1
  }

  /** The value of a prefix, or -1. */
  get(high: number, low: number): number {
    const index = this.indexOf(high, low)
    return index < 0 ? -1 : this.#values[index]!
  }

  /** The value of some entry whose first `bits` bits (32 to 64) are those given, or -1. */
  getByBits(high: number, low: number, bits: number): number {
    const lowMask = bits >= 64 ? 0xffff_ffff : bits <= 32 ? 0 : ~(0xffff_ffff >>> (bits - 32)) >>> 0
    const wantedHigh = high >>> 0
    const wantedLow = (low & lowMask) >>> 0
    const index = this.firstFrom(wantedHigh, wantedLow)
    if (this.#high[index] !== wantedHigh || (this.#low[index]! & lowMask) >>> 0 !== wantedLow) return -1
    return this.#values[index]!
  }

  /** The index of the first entry that is not below this prefix; `size` if all are. */
  firstFrom(high: number, low = 0): number {
    const highs = this.#high
    const start = high >>> this.#shift
    let index = this.#starts[start]!
    let end = this.#starts[start + 1]!
    while (end - index > WALK_ENTRIES_MAX) {
      const middle = (index + end) >>> 1
      if (highs[middle]! < high || (highs[middle] === high && this.#low[middle]! < low)) index = middle + 1
      else end = middle
    }
    while (index < end && highs[index]! < high) index += 1
    while (index < end && highs[index] === high && this.#low[index]! < low) index += 1
    return index
  }

  /** Visits every entry in rising order. */
  forEach(visit: (high: number, low: number, value: number) => void): void {
    for (let index = 0; index < this.#high.length; index++) {
      visit(this.#high[index]!, this.#low[index]!, this.#values[index]!)
    }
  }

  /** A table of the `count` entries whose bit (by index, lowest first) is set. */
  subset(bits: Uint8Array, count: number): SortedTable {
    const high = new Uint32Array(count)
    const low = new Uint32Array(count)
    const values = new Uint32Array(count)
    let kept = 0
    for (let index = 0; index < this.#high.length; index++) {
      if (!hasBit(bits, index)) continue
      high[kept] = this.#high[index]!
      low[kept] = this.#low[index]!
      values[kept] = this.#values[index]!
      kept += 1
    }
    assert(kept === count, 'as many bits are set as are said to be')
    return new SortedTable({ high, low, values, starts: startsOf(high) })
  }

  /** The table as plain buffers, for another thread; the table is empty afterwards. */
  release(): SortedColumns {
    const columns = { high: this.#high, low: this.#low, values: this.#values, starts: this.#starts }
    this.#high = this.#low = this.#values = new Uint32Array(0)
    this.#starts = startsOf(this.#high)
    this.#shift = 31
    return columns
  }

  static adopt(columns: SortedColumns): SortedTable {
    return new SortedTable(columns)
  }
}
