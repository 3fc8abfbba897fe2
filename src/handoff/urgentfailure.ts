import type { Reason } from '../conversation/index.ts'
import type { Clock, Timer } from '../runtime/clock.ts'

/** From the end of the channel of urgent pages until QEMU says that it has all, at the most. */
const LAST_WORD_MS_MAX = 1000

/**
 * What is wrong with the channel of urgent pages, told a moment later: the destination QEMU closes it just before it
 * says on the main one that it has all, and only then is nothing wrong. Broken in earnest it stays broken.
 */
export class UrgentFailure {
  readonly #clock: Clock
  readonly #tell: (reason: Reason) => void
  #timer: Timer | undefined

  constructor(components: { clock: Clock }, init: { tell: (reason: Reason) => void }) {
    this.#clock = components.clock
    this.#tell = init.tell
  }

  note(reason: Reason): void {
    this.#timer ??= this.#clock.after(LAST_WORD_MS_MAX, () => this.#tell(reason))
  }

  /** The connection ended, and with it what was wrong. */
  forget(): void {
    this.#timer?.cancel()
    this.#timer = undefined
  }
}
