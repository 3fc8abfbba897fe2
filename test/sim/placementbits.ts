/** A set of whole numbers below a bound, one bit each. */
export class Bits {
  readonly #words: Uint32Array

  constructor(limit: number) {
    this.#words = new Uint32Array(Math.ceil(limit / 32))
  }

  has(value: number): boolean {
    return (this.#words[value >>> 5]! & (1 << (value & 31))) !== 0
  }

  /** Returns whether it was new. */
  add(value: number): boolean {
    const before = this.#words[value >>> 5]!
    this.#words[value >>> 5] = before | (1 << (value & 31))
    return (before & (1 << (value & 31))) === 0
  }
}
