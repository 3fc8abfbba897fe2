/**
 * Prefixes under way, in typed arrays: 9 bytes a slot. Open addressing with linear probing; removing an entry moves its
 * neighbours up and leaves no mark. Prefixes come from a keyed hash and are evenly spread.
 */
export class InFlight {
  readonly #high: Uint32Array
  readonly #low: Uint32Array
  readonly #isUsed: Uint8Array
  readonly #mask: number
  readonly #shift: number
  readonly #entriesMax: number
  #size = 0

  /** @param entriesMax the most entries; when full, `add` refuses. */
  constructor(entriesMax: number) {
    const capacity = 2 ** Math.ceil(Math.log2(Math.max(16, entriesMax * 2)))
    this.#high = new Uint32Array(capacity)
    this.#low = new Uint32Array(capacity)
    this.#isUsed = new Uint8Array(capacity)
    this.#mask = capacity - 1
    this.#shift = 32 - Math.log2(capacity)
    this.#entriesMax = entriesMax
  }

  get size(): number {
    return this.#size
  }

  has(high: number, low: number): boolean {
    return this.#isUsed[this.#slotOf(high, low)] === 1
  }

  /** False if it is there already, or if there is no room. */
  add(high: number, low: number): boolean {
    const slot = this.#slotOf(high, low)
    if (this.#isUsed[slot] === 1 || this.#size === this.#entriesMax) return false
    this.#high[slot] = high
    this.#low[slot] = low
    this.#isUsed[slot] = 1
    this.#size += 1
    return true
  }

  remove(high: number, low: number): void {
    let empty = this.#slotOf(high, low)
    if (this.#isUsed[empty] === 0) return
    this.#size -= 1
    // An entry behind the gap that belongs at or before it moves into it, so that no search ends too soon.
    for (let slot = (empty + 1) & this.#mask; this.#isUsed[slot] === 1; slot = (slot + 1) & this.#mask) {
      const home = this.#high[slot]! >>> this.#shift
      if (((slot - home) & this.#mask) < ((slot - empty) & this.#mask)) continue
      this.#high[empty] = this.#high[slot]!
      this.#low[empty] = this.#low[slot]!
      empty = slot
    }
    this.#isUsed[empty] = 0
  }

  /** The slot of the prefix, or the empty slot for it. */
  #slotOf(high: number, low: number): number {
    const wantedHigh = high >>> 0
    const wantedLow = low >>> 0
    let slot = wantedHigh >>> this.#shift
    while (this.#isUsed[slot] === 1) {
      if (this.#high[slot] === wantedHigh && this.#low[slot] === wantedLow) return slot
      slot = (slot + 1) & this.#mask
    }
    return slot
  }
}
