/** The parts of a handoff by themselves: each is a function of the material that does the work once. */
import { residentSource } from '../../src/census/resident.ts'
import {
  createPageHasher, ID_BYTES, isZeroPage, PAGE_BYTES, PageBatch, PageColumns, PrefixTable, SortedTable, type PageHasher,
  type Prefixes,
} from '../../src/page/index.ts'
import { createPackageHasher } from '../../src/page/packagehasher.ts'
import { Encoder } from '../../src/passage/encoder.ts'
import { createStreamReader } from '../../src/qemu/index.ts'
import type { Material } from './material.ts'
import { placeInOwnMemory } from './ownmemory.ts'

/** Bytes of one read of QEMU's socket. */
const PIECE_BYTES = 256 * 1024
/** Pages of a full batch; half of them are refs. */
const BATCH_PAGES = 128
/** Pages hashed at once, as in the census. */
const HASH_PAGES = 256

const PAGE_KEY = new Uint8Array(32).fill(9)

export const hasher: PageHasher = createPageHasher(PAGE_KEY)
/** Hashes pages without the native kernel. */
export const packageHasher: PageHasher = createPackageHasher(PAGE_KEY)

/** Reads the stream; returns the number of its pages, zero pages included. */
export function readStream({ stream }: Material): number {
  let pages = 0
  const reader = createStreamReader({
    page: () => { pages += 1 }, zeroPage: () => { pages += 1 },
    mark: () => {}, runState: () => {}, lost: () => {}, resynchronised: () => {},
  })
  for (const piece of piecesOf(stream)) reader.push(piece)
  return pages
}

/** Encodes the stream, with the other guest's pages known; returns pages by kind. */
export function encodeStream({ stream }: Material, known: Prefixes): Encoder['counts'] {
  const encoder: Encoder = new Encoder({ hasher }, {
    known,
    onBatch: (batch) => [batch.stream, batch.literals].forEach((bytes) => encoder.recycle(bytes)),
    onMark: () => {}, onRunState: () => {}, onLost: () => {},
  })
  for (const piece of piecesOf(stream)) encoder.push(piece)
  encoder.flush(true)
  return encoder.counts
}

/** The prefixes in a table. */
export function prefixesOf(table: PrefixTable): Prefixes {
  const prefixes = { count: 0, high: new Uint32Array(table.size), low: new Uint32Array(table.size) }
  table.forEach((high, low) => {
    prefixes.high[prefixes.count] = high
    prefixes.low[prefixes.count++] = low
  })
  return prefixes
}

/** Ids of consecutive whole pages. */
export function hashPages(pages: Buffer, by = hasher): Buffer {
  const count = pages.length / PAGE_BYTES
  const ids = Buffer.alloc(count * ID_BYTES)
  for (let at = 0; at < count; at += HASH_PAGES) {
    by.hashPages(pages, at * PAGE_BYTES, Math.min(HASH_PAGES, count - at), ids, at * ID_BYTES)
  }
  return ids
}

/** Prefix of each page -> its number. */
export function tableOf(ids: Buffer): PrefixTable {
  const table = new PrefixTable()
  for (let at = 0; at < ids.length; at += ID_BYTES) {
    table.add(ids.readUInt32BE(at), ids.readUInt32BE(at + 4), at / ID_BYTES)
  }
  return table
}

/** The same in the form of the census. */
export function sortedTableOf(ids: Buffer): SortedTable {
  const columns = new PageColumns(ids.length / ID_BYTES)
  for (let at = 0; at < ids.length; at += ID_BYTES) {
    columns.push(ids.readUInt32BE(at), ids.readUInt32BE(at + 4), at / ID_BYTES)
  }
  return SortedTable.from(columns)
}

/** The guest's pages that the other guest holds, read from its memory in the order of a handoff. */
export class ResidentBench {
  readonly #batches: Buffer[] = []
  readonly #other: ReturnType<typeof placeInOwnMemory>
  readonly #source: ReturnType<typeof residentSource>
  readonly pages: number

  constructor({ pages, held }: Material, table: SortedTable) {
    const present = pages.filter((page) => page !== undefined && !isZeroPage(page, 0)) as Buffer[]
    const ids = hashPages(Buffer.concat(present))
    const wanted: Buffer[] = []
    for (let at = 0; at < ids.length; at += ID_BYTES) {
      if (table.get(ids.readUInt32BE(at), ids.readUInt32BE(at + 4)) !== -1) wanted.push(ids.subarray(at, at + ID_BYTES))
    }
    for (let at = 0; at < wanted.length; at += BATCH_PAGES) {
      this.#batches.push(Buffer.concat(wanted.slice(at, at + BATCH_PAGES)))
    }
    this.pages = wanted.length
    this.#other = placeInOwnMemory('other', held)
    const other = { memory: this.#other.memory, table, numberAt: table.valueAt.bind(table), isStable: () => true }
    this.#source = residentSource(() => [other])
  }

  /** Fills all pages; returns how many. */
  async run(): Promise<number> {
    const room = Buffer.from(new ArrayBuffer(BATCH_PAGES * PAGE_BYTES))
    const { signal } = new AbortController()
    let filled = 0
    for (const ids of this.#batches) {
      const batch = new PageBatch(ids, room)
      await this.#source.fill(batch, signal)
      filled += batch.count - batch.missing().length
    }
    return filled
  }

  async close(): Promise<void> {
    await this.#other.memory.close()
  }
}

function* piecesOf(stream: Uint8Array): Generator<Uint8Array> {
  for (let at = 0; at < stream.length; at += PIECE_BYTES) yield stream.subarray(at, at + PIECE_BYTES)
}
