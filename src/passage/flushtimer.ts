import type { Clock, Timer } from '../runtime/clock.ts'
import type { Encoder } from './encoder.ts'

/** Longest wait for a batch to fill while QEMU pauses. */
const FLUSH_AFTER_MS = 3
/** After this time without further bytes, an incomplete page is sent raw: perhaps it is no page. */
const STALLED_AFTER_MS = 200
const STALLED_LOOKS = 4

/** Flushes the encoder while QEMU pauses. */
export class FlushTimer {
  readonly #clock: Clock
  readonly #encoder: Encoder
  readonly #isPaused: () => boolean
  #timer: Timer | undefined

  /** @param init.isPaused whether reading from QEMU is paused, so that no bytes can follow. */
  constructor(components: { clock: Clock; encoder: Encoder }, init: { isPaused: () => boolean }) {
    this.#clock = components.clock
    this.#encoder = components.encoder
    this.#isPaused = init.isPaused
  }

  /** Call it after bytes were pushed: starts the timer if some are in no batch yet. */
  start(): void {
    if (this.#encoder.pendingBytes > 0 && this.#timer === undefined) this.#flushLater()
  }

  stop(): void {
    this.#timer?.cancel()
    this.#timer = undefined
  }

  #flushLater(): void {
    this.#timer = this.#clock.after(FLUSH_AFTER_MS, () => {
      this.#timer = undefined
      this.#encoder.flush()
      if (this.#encoder.pendingBytes > 0) this.#watchStalledPage(this.#encoder.counts.streamBytes, STALLED_LOOKS)
    })
  }

  /**
   * The pending bytes are the start of a page. They are sent raw if nothing has followed at several looks in a row: one
   * look would not do, since after a busy moment a timer fires before bytes that have already arrived are read.
   */
  #watchStalledPage(streamBytes: number, looks: number): void {
    this.#timer = this.#clock.after(STALLED_AFTER_MS / STALLED_LOOKS, () => {
      this.#timer = undefined
      const isStalled = this.#encoder.counts.streamBytes === streamBytes && !this.#isPaused()
      if (isStalled && looks > 1) this.#watchStalledPage(streamBytes, looks - 1)
      else if (isStalled) this.#encoder.flush(true)
      else this.start()
    })
  }
}
