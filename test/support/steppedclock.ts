import { TimerClock } from './time.ts'

/** A clock that jumps to the next timer as soon as nothing else is to be done. */
export class SteppedClock extends TimerClock {
  #now = 0
  readonly #timers: { at: number; run: () => void }[] = []

  override now(): number {
    return this.#now
  }

  override wallTime(): number {
    return this.#now
  }

  override after(delayMs: number, run: () => void): { cancel(): void } {
    const timer = { at: this.#now + delayMs, run }
    this.#timers.push(timer)
    return {
      cancel: () => {
        const place = this.#timers.indexOf(timer)
        if (place >= 0) this.#timers.splice(place, 1)
      },
    }
  }

  /** Runs timers in order, giving promises their turn in between, until `condition` holds. */
  async until(condition: () => boolean): Promise<void> {
    for (let turn = 0; !condition(); turn++) {
      if (turn > 100_000) throw new Error(`waited in vain for ${String(condition)}`)
      for (let i = 0; i < 8; i++) await new Promise((resolve) => { setImmediate(resolve) })
      if (condition()) return
      this.#timers.sort((a, b) => a.at - b.at)
      const next = this.#timers.shift()
      if (next === undefined) continue
      this.#now = Math.max(this.#now, next.at)
      next.run()
    }
  }
}
