import type { Clock } from '../runtime/clock.ts'

/** One member in this many may not have reported yet: there is always one that has just come. */
const MISSING_SHARE = 8

/**
 * Since when this host has had the reports of most members. Until then what it sums as an owner is a part: when all
 * hosts start together, the first guests' pages are stable an interval before the last ones'.
 */
export class MostReported {
  readonly #clock: Clock
  #since = NaN

  constructor(components: { clock: Clock }) {
    this.#clock = components.clock
  }

  /** How many members there are, and how many of them have not reported to this host. */
  follow(members: number, missing: number): void {
    if (missing > members / MISSING_SHARE) this.#since = NaN
    else if (Number.isNaN(this.#since)) this.#since = this.#clock.now()
  }

  /** How long it has had them, ms; negative if it has not. */
  get ms(): number {
    return Number.isNaN(this.#since) ? -1 : this.#clock.now() - this.#since
  }
}
