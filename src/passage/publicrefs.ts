import {
  createPageHasher, ID_BYTES, prefixHigh, prefixLow, PrefixTable, type PageHasher, type PrefixSet,
} from '../page/index.ts'

/** Public pages that the destination has: a guest of any tenant may be sent with refs to them. */
export interface KnownPublic {
  /** Makes the ids of public pages. */
  pageKey: Uint8Array
  pages: PrefixSet
}

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
    }
  }
}
