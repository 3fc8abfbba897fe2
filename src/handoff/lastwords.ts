import {
  FAILED_THERE, type IncomingMessage, type OutgoingEnding, type OutgoingMessage, type OutgoingState, type Reason,
} from '../conversation/index.ts'
import type { Clock } from '../runtime/clock.ts'
import { deferred, waitAtMost } from '../runtime/wait.ts'
import type { Link } from '../transfer/index.ts'

/** From the end of a stream until the other end has said over the conversation's own lane why it ended it, ms. */
const LAST_WORDS_MS = 500

/**
 * Why the destination ended a handoff, in its own words. The end of a stream's lane comes over another connection, and
 * so may be here before them; it says only that the lane was closed.
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
    // The last is the best: QEMU's end explains why its connection closed.
    this.#reason = message.reason
    this.#said.resolve()
  }

  /** Closes the link; before, if an end is to be explained, the destination has a moment to say why. */
  async close(
    link: Link<OutgoingMessage, IncomingMessage> | undefined, state: OutgoingState, fault: Reason | undefined,
  ): Promise<void> {
    if (link === undefined) return
    if (!link.isOver && state.at === 'over' && isUnexplained(state.ending)) {
      await waitAtMost(this.#clock, this.#said.promise, LAST_WORDS_MS)
    }
    await link.close(fault)
  }

  /** The ending, with the destination's reason where ours says nothing. */
  explain(ending: OutgoingEnding): OutgoingEnding {
    if (!isUnexplained(ending) || this.#reason === undefined) return ending
    return { as: 'kept', reason: { code: FAILED_THERE, message: this.#reason, fault: 'peer' } }
  }
}

function isUnexplained(ending: OutgoingEnding): boolean {
  return ending.as === 'kept' && ending.reason.code === 'lane-lost'
}
