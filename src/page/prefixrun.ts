/** Pages in rising order of their ids, as columns that grow: 64-bit prefixes, and how many guests hold each. */
export class PrefixRun {
  count = 0
  high: Uint32Array<ArrayBuffer>
  low: Uint32Array<ArrayBuffer>
  guests: Uint16Array<ArrayBuffer>

  constructor(expectedCount = 256) {
    this.high = new Uint32Array(expectedCount)
    this.low = new Uint32Array(expectedCount)
    this.guests = new Uint16Array(expectedCount)
  }

  clear(): void {
    this.count = 0
  }

  /** Adds a page behind all that are there; its prefix is greater than theirs. */
  push(high: number, low: number, guests: number): void {
    if (this.count === this.high.length) this.#grow()
    this.high[this.count] = high
    this.low[this.count] = low
    this.guests[this.count] = guests
    this.count += 1
  }

  #grow(): void {
    const larger = new PrefixRun(Math.max(256, this.count * 2))
    larger.high.set(this.high)
    larger.low.set(this.low)
    larger.guests.set(this.guests)
    this.high = larger.high
    this.low = larger.low
    this.guests = larger.guests
  }
}
