import type { Clock } from '../runtime/clock.ts'
import { PagemeshError } from '../runtime/errors.ts'
import { withDeadline } from '../runtime/wait.ts'
import type { HandoffResult, Obstacle } from '../transfer/index.ts'
import type { MigrateRequest } from './index.ts'
import type { Leaving } from './leaving.ts'
import { Turns } from './turns.ts'

/** Between two offers to a destination that takes no more guests now. */
const AGAIN_MS = 1000

/**
 * Runs the handoffs of guests that leave this host: so many at once, the others when it is their turn. A guest whose
 * destination takes no more guests now lets others have its turn, and is offered again.
 */
export class Departures {
  readonly #clock: Clock
  readonly #turns: Turns

  constructor(components: { clock: Clock }, { parallel }: { parallel: number }) {
    this.#clock = components.clock
    this.#turns = new Turns(parallel)
  }

  /**
   * Returns what `run` came to. Rejects with PagemeshError `busy` if no turn is free and the request does not wait,
   * `timeout` if it has waited for `timeoutMs`, and with the signal of `leaving`.
   */
  async run(
    { wait, to, timeoutMs }: Pick<MigrateRequest, 'wait' | 'to' | 'timeoutMs'>, leaving: Leaving,
    run: () => Promise<HandoffResult>,
  ): Promise<HandoffResult> {
    const begunAt = this.#clock.now()
    const patiently = <T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> => {
      const { signal } = leaving
      if (timeoutMs === undefined) return work(signal)
      const limitMs = Math.max(0, begunAt + timeoutMs - this.#clock.now())
      return withDeadline(this.#clock, { signal, limitMs, late: () => queuedTooLong(leaving, timeoutMs) }, work)
    }
    let mayWait = wait === true
    for (;;) {
      const giveBack = this.#turns.take() ?? await patiently((signal) => this.#wait(leaving, mayWait, signal))
      let result: HandoffResult
      try {
        leaving.unqueue()
        result = await run()
      } finally {
        giveBack()
      }
      if (result.code !== 'busy') return result
      leaving.queue(`${to} takes no more guests now`)
      await patiently((signal) => this.#clock.sleep(AGAIN_MS, signal))
      // It had its turn here.
      mayWait = true
    }
  }

  /** What would keep this request from beginning now. */
  obstacles({ wait }: Pick<MigrateRequest, 'wait'>): Obstacle[] {
    if (this.#turns.isFree || wait === true) return []
    return [{ code: 'busy', reason: `${this.#why()}, the most at once (\`handoff.parallel\`). Say --wait to queue.` }]
  }

  #why(): string {
    const { countMax } = this.#turns
    return `${countMax} ${countMax === 1 ? 'guest leaves' : 'guests leave'} this host now`
  }

  async #wait(leaving: Leaving, mayWait: boolean, signal: AbortSignal): Promise<() => void> {
    const why = this.#why()
    if (!mayWait) {
      throw new PagemeshError('busy', `${why}, the most at once (\`handoff.parallel\`).`, {
        fault: 'usage', phase: 'preparing', advice: 'Say --wait to queue, or try again when one has left.',
      })
    }
    return await this.#turns.wait(signal, (ahead) => {
      leaving.queue(ahead === 0 ? `${why}; it is the next` : `${why}; ${ahead} before it in the queue`)
    })
  }
}

/** It says what the guest waited for in the end. */
function queuedTooLong({ progress }: Leaving, timeoutMs: number): PagemeshError {
  const { guest, why = 'it was not its turn' } = progress
  return new PagemeshError('timeout', `${guest} waited in the queue for ${timeoutMs / 1000} s: ${why}.`, {
    fault: 'usage', phase: 'preparing', advice: 'Allow more time, or choose another host.',
  })
}
