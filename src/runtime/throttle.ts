import type { Clock } from './clock.ts'

/** What may be spent at once after a pause: as long as a busy thread may be late, so that no rate is lost by it. */
const BURST_SECONDS = 0.02

/**
 * A token bucket: at most `rate` units a second, and never more than `burst` at once. Within any time it lets through
 * at most what the rate brings meanwhile, the burst, and what is taken in one piece.
 */
export class Throttle {
  readonly #clock: Clock
  readonly #rate: number
  readonly #burst: number
  #tokens: number
  #filledAt: number

  /** @param rate units a second; Infinity never waits. @param burst units; by default what 20 ms bring. */
  constructor(components: { clock: Clock }, init: { rate: number; burst?: number }) {
    this.#clock = components.clock
    this.#rate = init.rate
    this.#burst = init.burst ?? Math.max(1, init.rate * BURST_SECONDS)
    this.#tokens = this.#burst
    this.#filledAt = components.clock.now()
  }

  /** Spends `units` if anything may be spent now; what was not there is a debt. False: nothing is spent. */
  tryTake(units: number): boolean {
    if (this.#rate === Infinity) return true
    this.#fill()
    if (this.#tokens <= 0) return false
    this.#tokens -= units
    return true
  }

  /** Waits until something may be spent, and spends `units`. More than there is are spent as a debt. */
  async take(units: number, signal?: AbortSignal): Promise<void> {
    while (!this.tryTake(units)) {
      // Whole milliseconds: a timer is due early by a part of one, and would have to be set again.
      await this.#clock.sleep(Math.ceil(((1 - this.#tokens) / this.#rate) * 1000), signal)
    }
  }

  /** Spends at once what cannot wait any more; whoever takes next waits the longer. */
  spend(units: number): void {
    if (this.#rate === Infinity) return
    this.#fill()
    this.#tokens -= units
  }

  /** Gives back what was taken and not used. */
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
