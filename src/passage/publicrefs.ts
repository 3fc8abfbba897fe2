import {
  createPageHasher, ID_BYTES, prefixHigh, prefixLow, PrefixTable, type PageHasher, type PrefixSet,
} from '../page/index.ts'

/** Public pages that the destination has: a guest of any tenant may be sent with refs to them. */
export interface KnownPublic {
  /** Makes the ids of public pages. */
  pageKey: Uint8Array
  pages: PrefixSet
}

/** So many pages say whether it is worth looking on: where fewer than one in so many was public, it is not. */
const JUDGED_PAGES = 2 ** 14
const FOUND_SHARE_MIN = 1 / 256
/** Then only one batch in so many is looked at, until it is worth it again. */
const SPARSE_EVERY = 8

/**
 * Finds the public ones among pages that would be sent whole: these are hashed a second time, with the public key. Only
 * ids of pages that the destination has said to have as public ones are ever used.
 */
export class PublicRefs {
  readonly #hasher: PageHasher
  readonly #bits: number
  readonly #table: PrefixTable
  /** The pages to look at: which they are for the caller, where in its memory, and their ids. */
  readonly #places: Uint32Array
  readonly #offsets: Uint32Array
  readonly #ids: Buffer
  #count = 0
  /** Pages looked at and found since it was last judged whether that is worth it. */
  #looked = 0
  #found = 0
  #every = 1
  #batches = 0

  /** @param pagesMax most pages looked at together. */
  constructor({ pageKey, pages: { bits, prefixes } }: KnownPublic, pagesMax: number) {
    this.#hasher = createPageHasher(pageKey)
    this.#bits = bits
    this.#table = new PrefixTable(prefixes.length)
    for (const prefix of prefixes) this.#table.add(prefixHigh(prefix, bits), prefixLow(prefix, bits), 0)
    this.#places = new Uint32Array(pagesMax)
    this.#offsets = new Uint32Array(pagesMax)
    this.#ids = Buffer.alloc(pagesMax * ID_BYTES)
  }

  /** Whether the next batch is to be looked at. */
  isDue(): boolean {
    return this.#batches++ % this.#every === 0
  }

  /** Notes a page for the next `mark`. */
  note(place: number, offset: number): void {
    this.#places[this.#count] = place
    this.#offsets[this.#count++] = offset
  }

  /** For each noted page that is public: its public id goes to its place in `ids`, and a 1 into `marks`. */
  mark(pages: Uint8Array, ids: Buffer, marks: Uint8Array): void {
    const count = this.#count
    this.#count = 0
    this.#hasher.hashScattered(pages, this.#offsets, count, this.#ids)
    for (let i = 0; i < count; i++) {
      const id = i * ID_BYTES
      const high = this.#ids.readUInt32BE(id)
      if (this.#table.getByBits(high, this.#ids.readUInt32BE(id + 4), this.#bits) === -1) continue
      const place = this.#places[i]!
      this.#ids.copy(ids, place * ID_BYTES, id, id + ID_BYTES)
      marks[place] = 1
      this.#found += 1
    }
    this.#judge(count)
  }

  #judge(count: number): void {
    this.#looked += count
    if (this.#looked < JUDGED_PAGES) return
    this.#every = this.#found < this.#looked * FOUND_SHARE_MIN ? SPARSE_EVERY : 1
    this.#looked = 0
    this.#found = 0
  }
}
