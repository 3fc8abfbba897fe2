import type { Clock } from './clock.ts'

/**
 * A token bucket: at most `rate` units a second, and never more than `burst` at once. Within any second it lets
 * through at most rate + burst + what is taken in one piece.
 */
export class Throttle {
  readonly #clock: Clock
  readonly #rate: number
  readonly #burst: number
  #tokens: number
  #filledAt: number

  /** @param rate units a second; Infinity never waits. @param burst units; by default what 50 ms bring. */
  constructor(components: { clock: Clock }, init: { rate: number; burst?: number }) {
    this.#clock = components.clock
    this.#rate = init.rate
    this.#burst = init.burst ?? Math.max(1, init.rate / 20)
    this.#tokens = this.#burst
    this.#filledAt = components.clock.now()
  }

  /** Whether it never waits. */
  get isFree(): boolean {
    return this.#rate === Infinity
  }

  /** Waits until `units` may be spent, and spends them. More than `burst` at once are spent as a debt. */
  async take(units: number, signal?: AbortSignal): Promise<void> {
    if (this.#rate === Infinity) return
    this.#fill()
    while (this.#tokens <= 0) {
      await this.#clock.sleep(Math.max(1, ((1 - this.#tokens) / this.#rate) * 1000), signal)
      this.#fill()
    }
    this.#tokens -= units
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
