import { assert } from '../runtime/assert.ts'

/**
 * Pages in any order, as columns of a fixed size: the 64-bit prefix of each id, and a number below 2^32; 12 bytes a
 * page. A sorted table is made from it. Memory that is never written costs nothing, so the size may be generous.
 */
export class PageColumns {
  readonly high: Uint32Array<ArrayBuffer>
  readonly low: Uint32Array<ArrayBuffer>
  readonly values: Uint32Array<ArrayBuffer>
  count = 0

  constructor(countMax: number) {
    this.high = new Uint32Array(countMax)
    this.low = new Uint32Array(countMax)
    this.values = new Uint32Array(countMax)
  }

  get isFull(): boolean {
    return this.count === this.high.length
  }

  push(high: number, low: number, value: number): void {
    assert(this.count < this.high.length, 'a column is not filled past its end')
    this.high[this.count] = high
    this.low[this.count] = low
    this.values[this.count] = value
    this.count += 1
  }

  clear(): void {
    this.count = 0
  }
}
