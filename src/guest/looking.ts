import type { Clock, Timer } from '../runtime/clock.ts'
import { describeError } from '../runtime/errors.ts'
import type { Log } from '../runtime/log.ts'

export interface LookingInit {
  everyMs: number
  /** Log message for a look that threw. */
  failure: string
  lookOnce: () => Promise<void>
}

/** Polls at an interval, one look at a time. */
export class Looking {
  readonly #clock: Clock
  readonly #log: Log
  readonly #init: LookingInit
  #timer: Timer | undefined
  #looking: Promise<void> | undefined

  constructor({ clock, log }: { clock: Clock; log: Log }, init: LookingInit) {
    this.#clock = clock
    this.#log = log
    this.#init = init
  }

  /** Resolves after the first look. Another call waits for the look under way. */
  async start(): Promise<void> {
    if (this.#timer !== undefined) return this.#looking
    // It never rejects.
    this.#timer = this.#clock.every(this.#init.everyMs, () => void this.look())
    await this.look()
  }

  /** Resolves when the look under way has ended. */
  async stop(): Promise<void> {
    this.#timer?.cancel()
    this.#timer = undefined
    await this.#looking
  }

  /** Resolves when no look is under way. */
  async ended(): Promise<void> {
    await this.#looking
  }

  /** Looks now; during a look, waits for that one. Never rejects. */
  look(): Promise<void> {
    this.#looking ??= this.#init.lookOnce()
      .catch((error: unknown) => this.#log.error(this.#init.failure, { error: describeError(error) }))
      .finally(() => { this.#looking = undefined })
    return this.#looking
  }
}
