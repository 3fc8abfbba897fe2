import type { Clock } from './clock.ts'

const LOOK_EVERY_MS = 20

/** Asks background work, also in other threads, to pause; several holders may overlap. */
export class HoldFlag {
  readonly #holds: Int32Array<SharedArrayBuffer>

  /** @param shared the `shared` of a flag in another thread, to see that one; without it this is a new flag. */
  constructor(shared = new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT)) {
    this.#holds = new Int32Array(shared)
  }

  get shared(): SharedArrayBuffer {
    return this.#holds.buffer
  }

  /** Returns the function that releases the hold. */
  hold(): () => void {
    Atomics.add(this.#holds, 0, 1)
    let held = true
    return () => {
      if (held) Atomics.sub(this.#holds, 0, 1)
      held = false
    }
  }

  /** Resolves once nobody holds the flag; rejects with the signal's reason. */
  async released(clock: Clock, signal: AbortSignal): Promise<void> {
    while (Atomics.load(this.#holds, 0) > 0) await clock.sleep(LOOK_EVERY_MS, signal)
  }
}
