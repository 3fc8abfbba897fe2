import type { Clock } from './clock.ts'

/** What may be spent at once after a pause: as long as a busy thread may be late, so that no rate is lost. */
const BURST_SECONDS = 0.02

/**
 * A token bucket: at most `rate` units a second, and never more than `burst` at once. In any period it passes at most
 * the rate's share, the burst, and one piece.
 */
export class Throttle {
  readonly #clock: Clock
  readonly #rate: number
  readonly #burst: number
  #tokens: number
  #filledAt: number

  /** @param rate units a second; Infinity never waits. @param burst units; default: those of 20 ms. */
  constructor(components: { clock: Clock }, init: { rate: number; burst?: number }) {
    this.#clock = components.clock
    this.#rate = init.rate
    this.#burst = init.burst ?? Math.max(1, init.rate * BURST_SECONDS)
    this.#tokens = this.#burst
    this.#filledAt = components.clock.now()
  }

  /** Spends `units` if the bucket is not empty; missing units become a debt. False: nothing is spent. */
  tryTake(units: number): boolean {
    if (this.#rate === Infinity) return true
    this.#fill()
    if (this.#tokens <= 0) return false
    this.#tokens -= units
    return true
  }

  /** Waits until the bucket is not empty, and spends `units`. Missing units become a debt. */
  async take(units: number, signal?: AbortSignal): Promise<void> {
    while (!this.tryTake(units)) {
      // Whole milliseconds: a timer may fire a fraction early, and would have to be set again.
      await this.#clock.sleep(Math.ceil(((1 - this.#tokens) / this.#rate) * 1000), signal)
    }
  }

  /** Spends at once, without waiting; the next `take` waits the longer. */
  spend(units: number): void {
    if (this.#rate === Infinity) return
    this.#fill()
    this.#tokens -= units
  }

  /** Returns units that were taken and not used. */
  giveBack(units: number): void {
    if (this.#rate === Infinity) return
    this.#fill()
    this.#tokens = Math.min(this.#burst, this.#tokens + units)
  }

  #fill(): void {
    const now = this.#clock.now()
    this.#tokens = Math.min(this.#burst, this.#tokens + ((now - this.#filledAt) / 1000) * this.#rate)
    this.#filledAt = now
  }
}
