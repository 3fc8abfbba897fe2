/**
 * Pages sent before in the same passage, in step at both ends: literals are numbered in the order of sending, and the
 * last SENT_PAGES of them can be named by number. The outgoing end keeps ids, the incoming end keeps bytes. Both forget
 * the same page at the same time, so such a reference never misses.
 */
import { ID_BYTES, PAGE_BYTES, PrefixTable } from '../page/index.ts'

/** 32 to 64 MiB at the incoming end, 0.5 MiB at the outgoing end. */
export const SENT_PAGES = 8192

const GENERATION = SENT_PAGES / 2

/** The outgoing end: finds a recent literal by id. */
export class SentIndex {
  readonly #ids = Buffer.alloc(SENT_PAGES * ID_BYTES)
  #sent = 0
  // Two generations instead of removal: together they hold at least the last half of SENT_PAGES.
  #young = new PrefixTable(GENERATION)
  #old = new PrefixTable()

  /** The number of the page with the id at `ids[offset]`, modulo SENT_PAGES; -1 if it is not among the last. */
  find(ids: Buffer, offset: number): number {
    const high = ids.readUInt32BE(offset)
    const low = ids.readUInt32BE(offset + 4)
    let slot = this.#young.get(high, low)
    if (slot === -1) slot = this.#old.get(high, low)
    if (slot === -1) return -1
    const own = slot * ID_BYTES
    for (let i = 0; i < ID_BYTES; i++) if (this.#ids[own + i] !== ids[offset + i]) return -1
    return slot
  }

  /** Records that the page with the id at `ids[offset]` is now sent as a literal. */
  add(ids: Buffer, offset: number): void {
    if (this.#young.size >= GENERATION) {
      this.#old = this.#young
      this.#young = new PrefixTable(GENERATION)
    }
    const slot = this.#sent % SENT_PAGES
    ids.copy(this.#ids, slot * ID_BYTES, offset, offset + ID_BYTES)
    this.#young.add(ids.readUInt32BE(offset), ids.readUInt32BE(offset + 4), slot)
    this.#sent += 1
  }
}

/** The incoming end: the bytes of the last literals. */
export class SentPages {
  /** For each page, the memory that holds it and its offset there. */
  readonly #memory: Uint8Array[] = []
  readonly #offsets = new Uint32Array(SENT_PAGES)
  #received = 0

  /**
   * Keeps a page that arrived as a literal: in the memory that it came in, which must not change from now on, or as a
   * copy if that memory is more than twice as large as needed.
   */
  add(bytes: Buffer, offset: number): void {
    const slot = this.#received % SENT_PAGES
    const isMostlyPages = bytes.buffer.byteLength <= 2 * bytes.length
    this.#memory[slot] = isMostlyPages ? bytes : Uint8Array.from(bytes.subarray(offset, offset + PAGE_BYTES))
    this.#offsets[slot] = isMostlyPages ? offset : 0
    this.#received += 1
  }

  /** Copies page `slot` into `into`; false if no such page was ever received. */
  copy(slot: number, into: Buffer, offset: number): boolean {
    if (slot >= Math.min(this.#received, SENT_PAGES)) return false
    const from = this.#offsets[slot]!
    into.set(this.#memory[slot]!.subarray(from, from + PAGE_BYTES), offset)
    return true
  }
}
