import type { Clock, Timer } from '../../runtime/clock.ts'
import type { Log } from '../../runtime/log.ts'

/** Between two lines of the log about strangers, ms: there may be thousands of them a second. */
const LINE_EVERY_MS = 60_000

/** The strangers that were dropped: each is counted, the log hears of them once a minute at most. */
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

  /** Says what has not been said yet. */
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
