import type { Clock } from '../runtime/clock.ts'
import type { LinkState } from './compression.ts'

/**
 * Bytes of QEMU's stream that may be on their way: what the outgoing end keeps for refs that are asked back. With half
 * of it two agents that share two cores wait for each other: 1.20 of plain QEMU's time for noise, 1.15 with this.
 */
const WINDOW_STREAM_BYTES = 8 * 2 ** 20
/** In post-copy a requested page queues behind what is on its way: keep that short. */
const WINDOW_STREAM_BYTES_POSTCOPY = 2 * 2 ** 20
/** Batches on their way, however small: each takes whole buffers at both ends. */
export const WINDOW_BATCHES_MAX = 40
const WINDOW_WIRE_BYTES_MIN = 2 * 2 ** 20
const WINDOW_WIRE_BYTES_MAX = 8 * 2 ** 20
/** What is on the wire shall be delivered within this time: QEMU takes its downtime from what we accept. */
const WINDOW_MS = 50
const RATE_PERIOD_MS = 100

/** A batch that is on its way: sent, but not yet taken by the destination QEMU. */
interface InFlight {
  streamBytes: number
  wireBytes: number
}

/** How much of the stream may be on its way, from how fast it was acknowledged lately. */
export class Window {
  readonly #clock: Clock
  readonly #inFlight = new Map<number, InFlight>()
  #streamBytes = 0
  #wireBytes = 0
  #streamBytesMax = WINDOW_STREAM_BYTES
  #wireBytesMax = WINDOW_WIRE_BYTES_MIN
  #periodFrom: number
  #periodBytes = 0
  #sentBytes = 0
  #deliveredBytes = 0
  #deliveredBytesPerSecond: number | undefined

  constructor(components: { clock: Clock }) {
    this.#clock = components.clock
    this.#periodFrom = components.clock.now()
  }

  get isFull(): boolean {
    return this.#inFlight.size >= WINDOW_BATCHES_MAX || this.#streamBytes >= this.#streamBytesMax ||
      this.#wireBytes >= this.#wireBytesMax
  }

  get isEmpty(): boolean {
    return this.#inFlight.size === 0
  }

  /** What is known of the way to the other end from what was acknowledged, and when. */
  state(): Omit<LinkState, 'nowMs' | 'queuedBytes'> {
    return {
      wireFill: this.#wireBytes / this.#wireBytesMax,
      sentBytes: this.#sentBytes,
      deliveredBytes: this.#deliveredBytes,
      deliveredBytesPerSecond: this.#deliveredBytesPerSecond,
    }
  }

  narrowForPostcopy(): void {
    this.#streamBytesMax = WINDOW_STREAM_BYTES_POSTCOPY
  }

  /** A batch was made, and is on its way from now on. */
  add(sequence: number, streamBytes: number, wireBytes: number): void {
    if (this.isEmpty) this.#startPeriod()
    this.#inFlight.set(sequence, { streamBytes, wireBytes })
    this.#streamBytes += streamBytes
    this.#wireBytes += wireBytes
    this.#sentBytes += wireBytes
  }

  /** Returns whether this batch was on its way. */
  acknowledge(sequence: number): boolean {
    const batch = this.#inFlight.get(sequence)
    if (batch === undefined) return false
    this.#inFlight.delete(sequence)
    this.#streamBytes -= batch.streamBytes
    this.#wireBytes -= batch.wireBytes
    this.#measure(batch.wireBytes)
    return true
  }

  #measure(wireBytes: number): void {
    this.#deliveredBytes += wireBytes
    this.#periodBytes += wireBytes
    const elapsedMs = this.#clock.now() - this.#periodFrom
    if (elapsedMs < RATE_PERIOD_MS) return
    this.#deliveredBytesPerSecond = (this.#periodBytes / elapsedMs) * 1000
    const deliveredInWindow = (this.#periodBytes / elapsedMs) * WINDOW_MS
    this.#wireBytesMax = Math.min(WINDOW_WIRE_BYTES_MAX, Math.max(WINDOW_WIRE_BYTES_MIN, deliveredInWindow))
    this.#startPeriod()
  }

  #startPeriod(): void {
    this.#periodFrom = this.#clock.now()
    this.#periodBytes = 0
  }
}
