import type { PageColumns } from './pagecolumns.ts'

/** Pages in rising order of their prefixes, each prefix once; all arrays can be transferred to a thread. */
export interface SortedColumns {
  high: Uint32Array<ArrayBuffer>
  low: Uint32Array<ArrayBuffer>
  values: Uint32Array<ArrayBuffer>
  /** For each value of the topmost bits: index of the first entry with this or a higher value; one more at the end. */
  starts: Uint32Array<ArrayBuffer>
}

type Unindexed = Omit<SortedColumns, 'starts'>

/** Average number of entries of a bucket or a start, at least. */
const BUCKET_ENTRIES = 4
/** With more buckets, filling them misses the processor's caches at every page. */
const BUCKET_BITS_MAX = 20
const START_BITS_MAX = 28

/**
 * Sorts pages by their prefixes; of equal prefixes the one with the smallest value stays. Prefixes come from a hash and
 * are spread evenly, so one pass brings each page almost to its place: time is linear, and so is the extra memory,
 * 12 bytes a page and a bucket for every four pages.
 */
export function sortColumns(columns: PageColumns): SortedColumns {
  const { high, low, values } = scatter(columns)
  const size = settle({ high, low, values })
  if (size === columns.count) return { high, low, values, starts: startsOf(high) }
  const own = high.slice(0, size)
  return { high: own, low: low.slice(0, size), values: values.slice(0, size), starts: startsOf(own) }
}

/** Indexes at which runs of entries with equal topmost bits begin. */
export function startsOf(high: Uint32Array): Uint32Array<ArrayBuffer> {
  const bits = bucketBits(high.length, START_BITS_MAX)
  const starts = new Uint32Array(2 ** bits + 1)
  let start = 0
  for (let index = 0; index < high.length; index++) {
    const own = high[index]! >>> (32 - bits)
    while (start <= own) starts[start++] = index
  }
  while (start < starts.length) starts[start++] = high.length
  return starts
}

/** Number of bits for buckets with BUCKET_ENTRIES or more entries; at least one. */
function bucketBits(count: number, bitsMax: number): number {
  return Math.min(bitsMax, Math.max(1, Math.floor(Math.log2(count / BUCKET_ENTRIES + 1))))
}

/** Copies the pages in rising order of their prefixes' topmost bits. */
function scatter({ high, low, values, count }: PageColumns): Unindexed {
  const bits = bucketBits(count, BUCKET_BITS_MAX)
  const shift = 32 - bits
  /** Index of each bucket's next free entry. */
  const next = new Uint32Array(2 ** bits + 1)
  for (let i = 0; i < count; i++) next[(high[i]! >>> shift) + 1]! += 1
  for (let bucket = 1; bucket < next.length; bucket++) next[bucket]! += next[bucket - 1]!
  const sorted = { high: new Uint32Array(count), low: new Uint32Array(count), values: new Uint32Array(count) }
  for (let i = 0; i < count; i++) {
    const place = next[high[i]! >>> shift]!++
    sorted.high[place] = high[i]!
    sorted.low[place] = low[i]!
    sorted.values[place] = values[i]!
  }
  return sorted
}

/** Sorts almost sorted pages in place and removes duplicates; returns how many pages remain. */
function settle({ high, low, values }: Unindexed): number {
  let size = 0
  for (let i = 0; i < high.length; i++) {
    const ownHigh = high[i]!
    const ownLow = low[i]!
    const value = values[i]!
    let place = size
    while (place > 0 && (high[place - 1]! > ownHigh || (high[place - 1] === ownHigh && low[place - 1]! > ownLow))) {
      place -= 1
    }
    if (place > 0 && high[place - 1] === ownHigh && low[place - 1] === ownLow) {
      if (value < values[place - 1]!) values[place - 1] = value
      continue
    }
    for (let moved = size; moved > place; moved--) {
      high[moved] = high[moved - 1]!
      low[moved] = low[moved - 1]!
      values[moved] = values[moved - 1]!
    }
    high[place] = ownHigh
    low[place] = ownLow
    values[place] = value
    size += 1
  }
  return size
}
