/** Pages in rising order of their ids, as growing columns: 64-bit prefixes, and the number of guests that hold each. */
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

  /** Appends a page; its prefix must be greater than all before it. */
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
