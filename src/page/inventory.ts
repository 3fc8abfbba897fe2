/**
 * The census exchange before a handoff: the outgoing end lists the prefixes of its guest's pages, the incoming end
 * answers with one bit for each: whether it has the page, so that the page may be sent as a reference. A guest may have
 * many millions of pages: all of this works in pieces, and yields to the agent's other work in between.
 */
import { countBits, hasBit, setBit } from '../bytes/bits.ts'
import { bufferOver } from '../bytes/bufferover.ts'
import { PagemeshError } from '../runtime/errors.ts'
import { inPieces } from '../runtime/turn.ts'
import { PageColumns } from './pagecolumns.ts'
import type { Prefixes } from './prefixes.ts'
import {
  encodePrefixSet, PREFIX_SET_LIMITS, prefixBitsFor, prefixHigh, prefixLow, truncatePrefix, type PrefixSet,
} from './prefixset.ts'
import { SortedTable } from './sortedtable.ts'
import { TableMerge } from './tablemerge.ts'

/** A guest's pages, from its census. */
export interface ListedPages {
  table: SortedTable
  /** Page number in the guest's memory of the page at `index` of the table. */
  numberAt(index: number): number
}

/**
 * The pages of several guests together: the best list for a guest of this host that is not known. At most as many as
 * the limit. Their locations in that guest's memory are unknown.
 */
export function listTogether(tables: readonly SortedTable[]): ListedPages {
  const held = tables.reduce((sum, { size }) => sum + size, 0)
  const columns = new PageColumns(Math.min(held, PREFIX_SET_LIMITS.countMax))
  const merge = new TableMerge(tables)
  while (!columns.isFull && merge.next()) columns.push(merge.high, merge.low, 0)
  const { high, low, values, count } = columns
  const table = SortedTable.fromRising({
    high: high.slice(0, count), low: low.slice(0, count), values: values.slice(0, count),
  })
  return { table, numberAt: () => 0 }
}

/** The sorted prefixes of a guest's pages, at most as many as the limit. */
export async function listPages(table: SortedTable): Promise<PrefixSet> {
  const count = Math.min(table.size, PREFIX_SET_LIMITS.countMax)
  const bits = prefixBitsFor(count)
  const prefixes = new Float64Array(count)
  let distinct = 0
  await inPieces(count, (from, to) => {
    for (let index = from; index < to; index++) {
      const prefix = truncatePrefix(table.highAt(index), table.lowAt(index), bits)
      // In rising order: prefixes that share their first bits are neighbours.
      if (distinct === 0 || prefix !== prefixes[distinct - 1]) prefixes[distinct++] = prefix
    }
  })
  return { bits, prefixes: prefixes.subarray(0, distinct) }
}

/** One bit for each prefix of the set, lowest bit first: whether `has` returns true for it. */
export async function answerPages(
  { bits, prefixes }: PrefixSet,
  has: (prefixHigh: number, prefixLow: number, prefixBits: number) => boolean,
): Promise<Uint8Array> {
  const bitmap = new Uint8Array(Math.ceil(prefixes.length / 8))
  await inPieces(prefixes.length, (from, to) => {
    for (let i = from; i < to; i++) {
      const prefix = prefixes[i]!
      if (has(prefixHigh(prefix, bits), prefixLow(prefix, bits), bits)) setBit(bitmap, i)
    }
  })
  return bitmap
}

/**
 * Number of parts into which a guest's memory is divided to tell where a page is. This is fine enough for neighbouring
 * pages to be fetched together, so that they compress as well as in the stream.
 */
const PARTS = 2 ** 16
const PART_BYTES = 2

/**
 * For each page that the bitmap lacks, the part of the guest's memory where it first occurs: two bytes each, in rising
 * order of prefixes.
 */
export async function orderOf(listed: ListedPages, { bits, prefixes }: PrefixSet, bitmap: Uint8Array): Promise<Buffer> {
  const { table } = listed
  let pageCount = 1
  await inPieces(table.size, (from, to) => {
    for (let index = from; index < to; index++) pageCount = Math.max(pageCount, listed.numberAt(index) + 1)
  })
  const order = Buffer.alloc(prefixes.length * PART_BYTES)
  let length = 0
  // Both are in rising order and walked together. Of pages that share their first bits the first counts.
  let number = 0
  await inPieces(table.size, (from, to) => {
    for (let index = from; index < to && number < prefixes.length; index++) {
      if (truncatePrefix(table.highAt(index), table.lowAt(index), bits) !== prefixes[number]) continue
      if (!hasBit(bitmap, number++)) {
        length = order.writeUInt16BE(Math.floor(PARTS * listed.numberAt(index) / pageCount), length)
      }
    }
  })
  return order.subarray(0, length)
}

/**
 * The numbers of the prefixes that the bitmap lacks, those of the last part of memory first. Rejects with PagemeshError
 * `bad-frame` if `order` does not have one entry for each.
 */
export async function lastFirst(count: number, bitmap: Uint8Array, order: Buffer): Promise<Uint32Array> {
  const lacking = await lackingOf(count, bitmap)
  if (order.length !== lacking.length * PART_BYTES) throw badFrame('an order has the wrong size')
  const partAt = (index: number): number => order.readUInt16BE(index * PART_BYTES)
  // Sorted by counting: where those of each part begin.
  const starts = new Uint32Array(PARTS + 1)
  await inPieces(lacking.length, (from, to) => {
    for (let index = from; index < to; index++) starts[partAt(index) + 1]! += 1
  })
  for (let part = 1; part < PARTS; part++) starts[part]! += starts[part - 1]!
  const numbers = new Uint32Array(lacking.length)
  await inPieces(lacking.length, (from, to) => {
    for (let index = from; index < to; index++) {
      const risingPlace = starts[partAt(index)]!++
      numbers[lacking.length - 1 - risingPlace] = lacking[index]!
    }
  })
  return numbers
}

async function lackingOf(count: number, bitmap: Uint8Array): Promise<Uint32Array> {
  const numbers = new Uint32Array(count)
  let lacking = 0
  await inPieces(count, (from, to) => {
    for (let number = from; number < to; number++) {
      if (!hasBit(bitmap, number)) numbers[lacking++] = number
    }
  })
  return numbers.subarray(0, lacking)
}

/** Prefixes in columns, added one by one. */
class PrefixColumns implements Prefixes {
  count = 0
  readonly high: Uint32Array
  readonly low: Uint32Array

  constructor(room: number) {
    this.high = new Uint32Array(room)
    this.low = new Uint32Array(room)
  }

  push(high: number, low: number): void {
    this.high[this.count] = high
    this.low[this.count++] = low
  }
}

/** The pages that the destination has. Rejects with PagemeshError `bad-frame` if the bitmap has another size. */
export async function knownPages(
  table: SortedTable, { bits, prefixes }: PrefixSet, bitmap: Uint8Array,
): Promise<Prefixes> {
  if (bitmap.length !== Math.ceil(prefixes.length / 8)) throw badFrame('a bitmap has the wrong size')
  // Pages that share their first bits share a bit of the map.
  const known = new PrefixColumns(countBits(bitmap) === 0 ? 0 : table.size)
  // Both are in rising order and walked together.
  let number = 0
  await inPieces(table.size, (from, to) => {
    for (let index = from; index < to; index++) {
      const [high, low] = [table.highAt(index), table.lowAt(index)]
      const prefix = truncatePrefix(high, low, bits)
      while (number < prefixes.length && prefixes[number]! < prefix) number += 1
      if (prefixes[number] === prefix && hasBit(bitmap, number)) known.push(high, low)
    }
  })
  return known
}

/**
 * The pages that the destination has fetched since: it sends numbers of prefixes of the set, 4 bytes each.
 * Throws PagemeshError `bad-frame` if the set has no such prefix.
 */
export function fetchedPages(table: SortedTable, set: PrefixSet, numbers: Buffer): Prefixes {
  if (numbers.length % 4 !== 0) throw badFrame('a number of a fetched page is cut short')
  const found: { high: number; low: number }[] = []
  for (let at = 0; at < numbers.length; at += 4) {
    const prefix = set.prefixes[numbers.readUInt32BE(at)]
    if (prefix === undefined) throw badFrame('a page was fetched that was not in the census')
    // Another page with the same first bits may be meant: if it is sent as a reference, the destination asks it back.
    const first = table.firstFrom(prefixHigh(prefix, set.bits), prefixLow(prefix, set.bits))
    for (let index = first; index < table.size; index++) {
      if (truncatePrefix(table.highAt(index), table.lowAt(index), set.bits) !== prefix) break
      found.push({ high: table.highAt(index), low: table.lowAt(index) })
    }
  }
  const columns = new PrefixColumns(found.length)
  for (const { high, low } of found) columns.push(high, low)
  return columns
}

/** The outgoing end's side of the exchange: the guest's pages, and which of them the destination has. */
export class Inventory {
  readonly #listed: ListedPages
  #set: PrefixSet = { bits: PREFIX_SET_LIMITS.bitsMin, prefixes: new Float64Array(0) }
  #known: Prefixes = { count: 0, high: new Uint32Array(0), low: new Uint32Array(0) }
  #bitmap: Uint8Array = new Uint8Array(0)

  /** @param listed the guest's census; without it the list is empty. */
  constructor(listed: ListedPages | undefined) {
    this.#listed = listed ?? { table: SortedTable.empty(), numberAt: () => 0 }
  }

  get pageCount(): number {
    return this.#listed.table.size
  }

  /** Prefixes in the list that was encoded. */
  get listedCount(): number {
    return this.#set.prefixes.length
  }

  /** The listed pages that the destination has. */
  get known(): Prefixes {
    return this.#known
  }

  /** Lists the pages, and encodes the list. */
  async encode(): Promise<Buffer> {
    this.#set = await listPages(this.#listed.table)
    return bufferOver(await encodePrefixSet(this.#set))
  }

  /** Takes the destination's answer to the list. Rejects with PagemeshError `bad-frame`. */
  async answer(bitmap: Uint8Array): Promise<void> {
    this.#known = await knownPages(this.#listed.table, this.#set, bitmap)
    this.#bitmap = bitmap
  }

  /** Locations in the guest's memory of the pages that the destination lacks. */
  order(): Promise<Buffer> {
    return orderOf(this.#listed, this.#set, this.#bitmap)
  }

  /** Pages that the destination has fetched from other hosts. Throws PagemeshError `bad-frame`. */
  fetched(numbers: Buffer): Prefixes {
    return fetchedPages(this.#listed.table, this.#set, numbers)
  }
}

/** The other end's message does not match the list that it was sent. */
function badFrame(why: string): PagemeshError {
  return new PagemeshError('bad-frame', `The other agent sent a frame that cannot be read: ${why}.`, {
    fault: 'peer', phase: 'handoff', advice: 'Check that both hosts run the same version of Pagemesh.',
  })
}
