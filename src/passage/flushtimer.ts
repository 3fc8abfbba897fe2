import type { Clock, Timer } from '../runtime/clock.ts'
import type { Encoder } from './encoder.ts'

/** How long bytes may wait for a batch to fill while QEMU pauses. */
const FLUSH_AFTER_MS = 3
/** The start of what looked like a page goes raw if nothing follows it for so long. */
const STALLED_AFTER_MS = 200
const STALLED_LOOKS = 4

/** Sees to it that nothing stays in the encoder while QEMU pauses. */
export class FlushTimer {
  readonly #clock: Clock
  readonly #encoder: Encoder
  readonly #isPaused: () => boolean
  #timer: Timer | undefined

  /** @param init.isPaused whether QEMU is not read at the moment, so that nothing can follow. */
  constructor(components: { clock: Clock; encoder: Encoder }, init: { isPaused: () => boolean }) {
    this.#clock = components.clock
    this.#encoder = components.encoder
    this.#isPaused = init.isPaused
  }

  /** Bytes were taken: if some are in no batch yet, they will be soon. */
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
   * What is pending now is the start of a page. It goes raw when nothing followed it at several looks: at several,
   * because after a busy moment a timer is due before what has arrived meanwhile is read.
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
