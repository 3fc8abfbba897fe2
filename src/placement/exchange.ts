/**
 * Pages of a guest that left, in place of kept ones: they cost no fetch, and the plan would want them as soon as the
 * guest is gone.
 */
import type { Prefixes } from '../page/index.ts'

/** Kept pages that may be exchanged between two plans: 256 MiB. */
export const LEAST_MAX = 2 ** 16
/** A page takes a kept one's place if it is worth an eighth more, and a guest. In eighths. */
const EIGHTHS = 8
const KEPT_EIGHTHS = 9
const KEPT_MORE = 8

/** Kept pages in rising order of worth, and how many guests hold each. */
export interface LeastKept extends Prefixes {
  guests: Uint32Array
}

export class Exchange {
  readonly #least: LeastKept
  #next = 0

  constructor(least: LeastKept) {
    this.#least = least
  }

  /** Whether a page that so many guests hold is worth the place of the kept page that is worth least. */
  mayReplace(guests: number): boolean {
    if (this.#next >= this.#least.count) return false
    return guests * EIGHTHS > this.#least.guests[this.#next]! * KEPT_EIGHTHS + KEPT_MORE
  }

  /** Takes that kept page; its high and low half. */
  take(): [high: number, low: number] {
    const at = this.#next++
    return [this.#least.high[at]!, this.#least.low[at]!]
  }
}
