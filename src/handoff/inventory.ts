/**
 * The census exchange before a handoff: the outgoing end lists the prefixes of what its guest holds, the incoming
 * end answers with one bit each, and both then agree on what may travel as a reference.
 */
import {
  prefixBitsFor, prefixHigh, prefixLow, PREFIX_SET_LIMITS, PrefixTable, truncatePrefix, type PrefixSet,
  type SortedTable,
} from '../page/index.ts'
import { countBits, hasBit, setBit } from '../runtime/bits.ts'
import { badFrame } from './wire.ts'

/** What a guest holds, as its census has it. */
export interface ListedPages {
  table: SortedTable
  /** The number of the page at `index` of the table, counted through the guest's memory. */
  numberAt(index: number): number
}

/** The sorted prefixes of a guest's pages; of a guest with more than the limit, only as many as the limit. */
export function listPages(table: SortedTable): PrefixSet {
  const count = Math.min(table.size, PREFIX_SET_LIMITS.countMax)
  const bits = prefixBitsFor(count)
  const prefixes = new Float64Array(count)
  let distinct = 0
  for (let index = 0; index < count; index++) {
    const prefix = truncatePrefix(table.highAt(index), table.lowAt(index), bits)
    // In rising order: those that their first bits do not tell apart are neighbours.
    if (distinct === 0 || prefix !== prefixes[distinct - 1]) prefixes[distinct++] = prefix
  }
  return { bits, prefixes: prefixes.slice(0, distinct) }
}

/** One bit for each prefix of the set, lowest bit first: whether `has` knows it. */
export function answerPages(
  set: PrefixSet,
  has: (prefixHigh: number, prefixLow: number, prefixBits: number) => boolean,
): Uint8Array {
  const bitmap = new Uint8Array(Math.ceil(set.prefixes.length / 8))
  for (let i = 0; i < set.prefixes.length; i++) {
    const prefix = set.prefixes[i]!
    if (has(prefixHigh(prefix, set.bits), prefixLow(prefix, set.bits), set.bits)) setBit(bitmap, i)
  }
  return bitmap
}

/**
 * Into so many parts a guest's memory is divided to say where a page is. That fine, pages that lie side by side are
 * fetched side by side, and compress as well as in the stream.
 */
const PARTS = 2 ** 16
const PART_BYTES = 2

/**
 * In which part of the guest's memory each page that the bitmap lacks comes first: two bytes for each, in rising order
 * of their prefixes.
 */
export function orderOf(listed: ListedPages, { bits, prefixes }: PrefixSet, bitmap: Uint8Array): Buffer {
  const { table } = listed
  let pageCount = 1
  for (let index = 0; index < table.size; index++) pageCount = Math.max(pageCount, listed.numberAt(index) + 1)
  const lacking = lackingOf(prefixes.length, bitmap)
  const order = Buffer.alloc(lacking.length * PART_BYTES)
  for (const [place, number] of lacking.entries()) {
    const prefix = prefixes[number]!
    const index = table.firstFrom(prefixHigh(prefix, bits), prefixLow(prefix, bits))
    order.writeUInt16BE(Math.floor(PARTS * listed.numberAt(index) / pageCount), place * PART_BYTES)
  }
  return order
}

/**
 * The numbers of the prefixes that the bitmap lacks, those of the last part of memory first.
 * Throws PagemeshError `bad-frame` if the order is not one of so many.
 */
export function lastFirst(count: number, bitmap: Uint8Array, order: Buffer): Uint32Array {
  const lacking = lackingOf(count, bitmap)
  if (order.length !== lacking.length * PART_BYTES) throw badFrame('an order has the wrong size')
  // Part and place in one value: sorting plain numbers needs no function, and no object a page.
  const keys = new Float64Array(lacking.length)
  for (let place = 0; place < keys.length; place++) keys[place] = order.readUInt16BE(place * PART_BYTES) * count + place
  keys.sort().reverse()
  return Uint32Array.from(keys, (key) => lacking[key % count]!)
}

function lackingOf(count: number, bitmap: Uint8Array): Uint32Array {
  const numbers = new Uint32Array(count)
  let lacking = 0
  for (let number = 0; number < count; number++) {
    if (!hasBit(bitmap, number)) numbers[lacking++] = number
  }
  return numbers.subarray(0, lacking)
}

/** The prefixes that the destination said it has. Throws PagemeshError `bad-frame` if the bitmap has another size. */
export function knownPages(table: SortedTable, set: PrefixSet, bitmap: Uint8Array): PrefixTable {
  if (bitmap.length !== Math.ceil(set.prefixes.length / 8)) throw badFrame('a bitmap has the wrong size')
  const known = new PrefixTable(countBits(bitmap))
  // Both in rising order: they are walked side by side.
  let index = 0
  table.forEach((high, low) => {
    const prefix = truncatePrefix(high, low, set.bits)
    while (index < set.prefixes.length && set.prefixes[index]! < prefix) index += 1
    if (set.prefixes[index] === prefix && hasBit(bitmap, index)) known.add(high, low, 0)
  })
  return known
}

/**
 * Adds the pages that the destination fetched since: numbers of prefixes of the set, 4 bytes each.
 * Throws PagemeshError `bad-frame` if the set has no such prefix.
 */
export function addArrived(known: PrefixTable, table: SortedTable, set: PrefixSet, numbers: Buffer): void {
  if (numbers.length % 4 !== 0) throw badFrame('a number of an arrived page is cut short')
  for (let at = 0; at < numbers.length; at += 4) {
    const prefix = set.prefixes[numbers.readUInt32BE(at)]
    if (prefix === undefined) throw badFrame('a page arrived that was not in the census')
    // A page that shares its first bits with the one that came is asked back, should it be sent as a reference.
    const first = table.firstFrom(prefixHigh(prefix, set.bits), prefixLow(prefix, set.bits))
    for (let index = first; index < table.size; index++) {
      if (truncatePrefix(table.highAt(index), table.lowAt(index), set.bits) !== prefix) break
      known.add(table.highAt(index), table.lowAt(index), 0)
    }
  }
}
