import {
  FAILED_THERE, type IncomingMessage, type OutgoingEnding, type OutgoingMessage, type OutgoingState, type Reason,
} from '../conversation/index.ts'
import type { Clock } from '../runtime/clock.ts'
import { deferred, waitAtMost } from '../runtime/wait.ts'
import type { Link } from '../transfer/index.ts'

/** Wait after the end of a stream for the other end's reason, which comes over the conversation's lane, ms. */
const LAST_WORDS_MS = 500

/**
 * The destination's reason for ending a handoff. A stream's lane is another connection: its end may arrive before the
 * reason, and says only that the lane was closed.
 */
export class LastWords {
  readonly #clock: Clock
  readonly #said = deferred<void>()
  #reason: string | undefined

  constructor(components: { clock: Clock }) {
    this.#clock = components.clock
  }

  note(message: IncomingMessage): void {
    if (message.kind !== 'trouble' && message.kind !== 'broken') return
    // The last reason is the best: the end of QEMU explains why its connection closed.
    this.#reason = message.reason
    this.#said.resolve()
  }

  /** Closes the link; if an ending needs a reason, first waits a moment for the destination's. */
  async close(
    link: Link<OutgoingMessage, IncomingMessage> | undefined, state: OutgoingState, fault: Reason | undefined,
  ): Promise<void> {
    if (link === undefined) return
    if (!link.isOver && state.at === 'over' && isUnexplained(state.ending)) {
      await waitAtMost(this.#clock, this.#said.promise, LAST_WORDS_MS)
    }
    await link.close(fault)
  }

  /** The ending, with the destination's reason if ours says only that the lane was closed. */
  explain(ending: OutgoingEnding): OutgoingEnding {
    if (!isUnexplained(ending) || this.#reason === undefined) return ending
    return { as: 'kept', reason: { code: FAILED_THERE, message: this.#reason, fault: 'peer' } }
  }
}

function isUnexplained(ending: OutgoingEnding): boolean {
  return ending.as === 'kept' && ending.reason.code === 'lane-lost'
}
