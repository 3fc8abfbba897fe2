import type { Clock, Timer } from '../runtime/clock.ts'
import { describeError } from '../runtime/errors.ts'
import type { Log } from '../runtime/log.ts'

export interface LookingInit {
  everyMs: number
  /** What a look that threw is called in the log. */
  failure: string
  lookOnce: () => Promise<void>
}

/** Looks every so often at what may have changed without a word, one look at a time. */
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

  /** Resolves after the first look. Whoever starts it once more waits for the look that goes on. */
  async start(): Promise<void> {
    if (this.#timer !== undefined) return this.#looking
    // It never rejects.
    this.#timer = this.#clock.every(this.#init.everyMs, () => void this.look())
    await this.look()
  }

  /** Resolves when the look that goes on has ended. */
  async stop(): Promise<void> {
    this.#timer?.cancel()
    this.#timer = undefined
    await this.#looking
  }

  /** Resolves when no look goes on. */
  async ended(): Promise<void> {
    await this.#looking
  }

  /** Whoever asks during a look gets that one's end. Never rejects. */
  look(): Promise<void> {
    this.#looking ??= this.#init.lookOnce()
      .catch((error: unknown) => this.#log.error(this.#init.failure, { error: describeError(error) }))
      .finally(() => { this.#looking = undefined })
    return this.#looking
  }
}
