import type { SortedTable } from './sortedtable.ts'

/**
 * Merges tables in rising order of prefixes: each `next` yields one page with all tables that hold it. Tables with
 * entries left are in a heap, ordered by their next prefix.
 */
export class TableMerge {
  /** The page's prefix. */
  high = 0
  low = 0
  /** Number of tables that hold the page; as many entries of `tableOf` and `indexOf` tell which and where. */
  holders = 0
  readonly tableOf: Uint32Array
  readonly indexOf: Uint32Array
  readonly #tables: readonly SortedTable[]
  /** For each table: index of the next entry, its prefix, and the index after the last entry. */
  readonly #nextIndex: Uint32Array
  readonly #nextHigh: Uint32Array
  readonly #nextLow: Uint32Array
  readonly #endIndex: Uint32Array
  readonly #heap: Uint32Array
  #heapSize = 0

  /** Yields only pages whose prefix has a high half from `firstHigh` to `lastHigh`. */
  constructor(tables: readonly SortedTable[], firstHigh = 0, lastHigh = 0xffff_ffff) {
    this.#tables = tables
    this.tableOf = new Uint32Array(tables.length)
    this.indexOf = new Uint32Array(tables.length)
    this.#nextIndex = Uint32Array.from(tables, (table) => table.firstFrom(firstHigh))
    this.#endIndex = Uint32Array.from(tables, (table) =>
      lastHigh >= 0xffff_ffff ? table.size : table.firstFrom(lastHigh + 1))
    this.#nextHigh = new Uint32Array(tables.length)
    this.#nextLow = new Uint32Array(tables.length)
    this.#heap = new Uint32Array(tables.length)
    for (let table = 0; table < tables.length; table++) {
      if (this.#nextIndex[table]! >= this.#endIndex[table]!) continue
      this.#load(table)
      this.#heap[this.#heapSize++] = table
    }
    for (let place = this.#heapSize >>> 1; place-- > 0;) this.#sink(place)
  }

  /** Goes to the next page; false when there is none. */
  next(): boolean {
    if (this.#heapSize === 0) return false
    const first = this.#heap[0]!
    const high = this.#nextHigh[first]!
    const low = this.#nextLow[first]!
    this.high = high
    this.low = low
    this.holders = 0
    do {
      const table = this.#heap[0]!
      this.tableOf[this.holders] = table
      this.indexOf[this.holders] = this.#nextIndex[table]!
      this.holders += 1
      this.#nextIndex[table]! += 1
      if (this.#nextIndex[table]! < this.#endIndex[table]!) this.#load(table)
      else this.#heap[0] = this.#heap[--this.#heapSize]!
      this.#sink(0)
    } while (this.#heapSize > 0 && this.#nextHigh[this.#heap[0]!] === high && this.#nextLow[this.#heap[0]!] === low)
    return true
  }

  #load(table: number): void {
    const index = this.#nextIndex[table]!
    this.#nextHigh[table] = this.#tables[table]!.highAt(index)
    this.#nextLow[table] = this.#tables[table]!.lowAt(index)
  }

  /** Restores the heap's order by moving the table at `place` down. */
  #sink(place: number): void {
    const heap = this.#heap
    const sinking = heap[place]!
    for (;;) {
      let child = place * 2 + 1
      if (child >= this.#heapSize) break
      if (child + 1 < this.#heapSize && this.#isBefore(heap[child + 1]!, heap[child]!)) child += 1
      if (!this.#isBefore(heap[child]!, sinking)) break
      heap[place] = heap[child]!
      place = child
    }
    heap[place] = sinking
  }

  #isBefore(a: number, b: number): boolean {
    const highA = this.#nextHigh[a]!
    const highB = this.#nextHigh[b]!
    return highA < highB || (highA === highB && this.#nextLow[a]! < this.#nextLow[b]!)
  }
}
