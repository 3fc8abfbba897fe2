import { assert } from '../runtime/assert.ts'

const LOAD_MAX = 0.75
const CAPACITY_MIN = 16

/**
 * Maps the 64-bit prefix of a page id to a number below 2^32 - 1, in typed arrays: 12 bytes a slot, 16 bytes an entry
 * at full load, no object or string for each page.
 *
 * Open addressing with linear probing. The slot comes from the topmost bits of the prefix, so that an entry can also be
 * found by fewer than 64 bits. Prefixes come from a keyed hash and need no mixing. A full table doubles; entries are
 * never removed.
 */
export class PrefixTable {
  #high: Uint32Array<ArrayBuffer>
  #low: Uint32Array<ArrayBuffer>
  /** The value plus one; 0 marks an empty slot. */
  #values: Uint32Array<ArrayBuffer>
  #shift: number
  #size = 0

  constructor(expectedEntries = 0) {
    const capacity = Math.max(CAPACITY_MIN, 2 ** Math.ceil(Math.log2(expectedEntries / LOAD_MAX + 1)))
    assert(capacity <= 2 ** 30, 'a prefix table holds at most 2^30 slots')
    this.#high = new Uint32Array(capacity)
    this.#low = new Uint32Array(capacity)
    this.#values = new Uint32Array(capacity)
    this.#shift = 32 - Math.log2(capacity)
  }

  get size(): number {
    return this.#size
  }

  /** Memory that the table takes, bytes. */
  get bytes(): number {
    return this.#values.length * 12
  }

  /** Sets the value of a prefix if it has none yet; returns whether it was new. */
  add(high: number, low: number, value: number): boolean {
    if (this.#size >= this.#values.length * LOAD_MAX) this.#grow()
    const slot = this.#slotOf(high, low)
    if (this.#values[slot] !== 0) return false
    this.#high[slot] = high
    this.#low[slot] = low
    this.#values[slot] = value + 1
    this.#size += 1
    return true
  }

  /** The value of a prefix, or -1. */
  get(high: number, low: number): number {
    return this.#values[this.#slotOf(high, low)]! - 1
  }

  /** The value of any entry whose first `bits` bits (32 to 64) are those given, or -1. */
  getByBits(high: number, low: number, bits: number): number {
    const lowMask = bits >= 64 ? 0xffff_ffff : bits <= 32 ? 0 : ~(0xffff_ffff >>> (bits - 32)) >>> 0
    const mask = this.#values.length - 1
    const wantedHigh = high >>> 0
    const wantedLow = (low & lowMask) >>> 0
    let slot = wantedHigh >>> this.#shift
    while (this.#values[slot] !== 0) {
      if (this.#high[slot] === wantedHigh && (this.#low[slot]! & lowMask) >>> 0 === wantedLow) {
        return this.#values[slot]! - 1
      }
      slot = (slot + 1) & mask
    }
    return -1
  }

  /** Visits every entry, in no particular order. */
  forEach(visit: (high: number, low: number, value: number) => void): void {
    for (let slot = 0; slot < this.#values.length; slot++) {
      if (this.#values[slot] !== 0) visit(this.#high[slot]!, this.#low[slot]!, this.#values[slot]! - 1)
    }
  }

  /** The table as plain buffers, for another thread; do not use the table afterwards. */
  release(): PrefixTableParts {
    const parts: PrefixTableParts = { high: this.#high, low: this.#low, values: this.#values, size: this.#size }
    this.#high = this.#low = this.#values = new Uint32Array(0)
    return parts
  }

  static adopt(parts: PrefixTableParts): PrefixTable {
    const table = new PrefixTable()
    table.#high = parts.high
    table.#low = parts.low
    table.#values = parts.values
    table.#size = parts.size
    table.#shift = 32 - Math.log2(parts.values.length)
    return table
  }

  /** The slot of the prefix, or the empty slot where it belongs. */
  #slotOf(high: number, low: number): number {
    const mask = this.#values.length - 1
    const wantedHigh = high >>> 0
    const wantedLow = low >>> 0
    let slot = wantedHigh >>> this.#shift
    while (this.#values[slot] !== 0) {
      if (this.#high[slot] === wantedHigh && this.#low[slot] === wantedLow) return slot
      slot = (slot + 1) & mask
    }
    return slot
  }

  #grow(): void {
    const larger = new PrefixTable(this.#values.length * LOAD_MAX * 1.5)
    this.forEach((high, low, value) => larger.add(high, low, value))
    this.#high = larger.#high
    this.#low = larger.#low
    this.#values = larger.#values
    this.#shift = larger.#shift
  }
}

/** A table's parts for another thread; all three arrays can be transferred. */
export interface PrefixTableParts {
  high: Uint32Array<ArrayBuffer>
  low: Uint32Array<ArrayBuffer>
  values: Uint32Array<ArrayBuffer>
  size: number
}
