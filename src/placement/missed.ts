import { PrefixTable } from '../page/index.ts'

/** Most pages remembered; 1.5 MiB. */
const PAGES_MAX = 2 ** 16
/** Intervals after which all of them are tried again. */
const INTERVALS_MAX = 8

/** Pages that no host had, so that they are not requested again at once; when full, no more are remembered. */
export class MissedPages {
  #table = new PrefixTable()
  #intervals = 0

  add(high: number, low: number): void {
    if (this.#table.size < PAGES_MAX) this.#table.add(high, low, 0)
  }

  has(high: number, low: number): boolean {
    return this.#table.get(high, low) >= 0
  }

  /** Call it after each interval. */
  age(): void {
    this.#intervals += 1
    if (this.#intervals % INTERVALS_MAX === 0) this.#table = new PrefixTable()
  }
}
