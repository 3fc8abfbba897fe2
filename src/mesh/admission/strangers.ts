import type { Clock, Timer } from '../../runtime/clock.ts'
import type { Log } from '../../runtime/log.ts'

/** Least time between two log lines about strangers, ms: there may be thousands of strangers a second. */
const LINE_EVERY_MS = 60_000

/** The dropped strangers: each is counted, and logged in sums once a minute at most. */
export class Strangers {
  readonly #clock: Clock
  readonly #log: Log
  #count = 0
  #loggedCount = 0
  #last = { from: '', reason: '' }
  #timer: Timer | undefined

  constructor(components: { clock: Clock; log: Log }) {
    this.#clock = components.clock
    this.#log = components.log
  }

  get count(): number {
    return this.#count
  }

  note(from: string, reason: string): void {
    this.#count += 1
    this.#last = { from, reason }
    if (this.#timer === undefined) this.#say()
  }

  /** Logs what has not been logged yet. */
  stop(): void {
    if (this.#count > this.#loggedCount) this.#say()
    this.#timer?.cancel()
    this.#timer = undefined
  }

  #say(): void {
    this.#timer?.cancel()
    const count = this.#count - this.#loggedCount
    this.#loggedCount = this.#count
    this.#log.warn('strangers were dropped', { count, last: this.#last })
    this.#timer = this.#clock.after(LINE_EVERY_MS, () => {
      this.#timer = undefined
      if (this.#count > this.#loggedCount) this.#say()
    })
  }
}
