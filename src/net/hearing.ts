import type { Clock } from '../runtime/clock.ts'
import { nextTurn } from '../runtime/turn.ts'
import { deferred, waitAtMost } from '../runtime/wait.ts'

/** How long a connection is heard out at least, unless its end comes, and at most, ms. */
const HEAR_MS_MIN = 500
const HEAR_MS_MAX = 3000
/** Time between two looks at one from which bytes still come, ms. */
const LOOK_EVERY_MS = 20
/** More than the system keeps of one connection's bytes: an end before now would have come by then. */
const HEARD_BYTES_MAX = 16 * 2 ** 20

/**
 * Tells whether the other side of a connection had ended it by now. The system knows at once, but the end comes after
 * all bytes that were sent before it, and a busy process reads it late: perhaps after what happened later elsewhere.
 * The owner goes on reading, and tells the other side nothing meanwhile. It is over once the end has come, or
 * everything that had been sent was read without it.
 */
export class Hearing {
  readonly over: Promise<void>
  readonly #ending = deferred<void>()
  readonly #isHeld: () => boolean
  #hasEnded = false
  #bytes = 0

  /** @param init.isHeld Whether reading has to wait. */
  constructor(components: { clock: Clock }, init: { isHeld: () => boolean }) {
    this.#isHeld = init.isHeld
    this.over = this.#hear(components.clock)
  }

  /** Bytes have come. */
  heard(bytes: number): void {
    this.#bytes += bytes
    if (this.#bytes > HEARD_BYTES_MAX) this.#ending.resolve()
  }

  /** The end has come, or nobody waits any more. */
  end(): void {
    this.#hasEnded = true
    this.#ending.resolve()
  }

  async #hear(clock: Clock): Promise<void> {
    const begunAt = clock.now()
    await waitAtMost(clock, this.#ending.promise, HEAR_MS_MIN)
    while (!await this.#isHeardOut() && clock.now() - begunAt < HEAR_MS_MAX) {
      await waitAtMost(clock, this.#ending.promise, LOOK_EVERY_MS)
    }
  }

  async #isHeardOut(): Promise<boolean> {
    const bytesBefore = this.#bytes
    // Timers come before sockets: in this turn whatever has arrived is read.
    await nextTurn()
    if (this.#hasEnded || this.#bytes > HEARD_BYTES_MAX) return true
    return this.#bytes === bytesBefore && !this.#isHeld()
  }
}
