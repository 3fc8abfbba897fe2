import { deferred, type Deferred } from '../runtime/wait.ts'

interface Waiting {
  turn: Deferred<() => void>
  onAhead: (ahead: number) => void
}

/** A number of turns at once; who finds none free waits, in the order of asking. */
export class Turns {
  readonly countMax: number
  readonly #waiting: Waiting[] = []
  #taken = 0

  constructor(countMax: number) {
    this.countMax = countMax
  }

  get isFree(): boolean {
    return this.#taken < this.countMax
  }

  /** Takes a turn and returns how to give it back; undefined if none is free. */
  take(): (() => void) | undefined {
    return this.isFree ? this.#give() : undefined
  }

  /**
   * Waits for a turn and returns how to give it back. `onAhead` is told how many wait before this one, at once and
   * whenever that changes. Rejects with the signal's reason.
   */
  async wait(signal: AbortSignal, onAhead: (ahead: number) => void): Promise<() => void> {
    signal.throwIfAborted()
    const waiting: Waiting = { turn: deferred(), onAhead }
    onAhead(this.#waiting.push(waiting) - 1)
    const leave = (): void => {
      const place = this.#waiting.indexOf(waiting)
      // Its turn may have come just before.
      if (place === -1) return
      this.#remove(place)
      waiting.turn.reject(signal.reason)
    }
    signal.addEventListener('abort', leave, { once: true })
    try {
      return await waiting.turn.promise
    } finally {
      signal.removeEventListener('abort', leave)
    }
  }

  #give(): () => void {
    this.#taken += 1
    let isGivenBack = false
    return () => {
      if (isGivenBack) return
      isGivenBack = true
      this.#taken -= 1
      const [next] = this.#waiting
      if (next === undefined) return
      // First of all: who is told of the queue may throw.
      next.turn.resolve(this.#give())
      this.#remove(0)
    }
  }

  #remove(place: number): void {
    this.#waiting.splice(place, 1)
    for (const [ahead, { onAhead }] of this.#waiting.entries()) if (ahead >= place) onAhead(ahead)
  }
}
