import type { Clock } from '../runtime/clock.ts'
import type { LinkState } from './compression.ts'

/**
 * Most unacknowledged bytes of QEMU's stream: the outgoing end keeps them for refs that are asked back. With half as
 * many, two agents on two shared cores wait for each other: noise took 1.20 times plain QEMU's time, 1.15 with this.
 */
const WINDOW_STREAM_BYTES = 8 * 2 ** 20
/** Less in post-copy, where a requested page queues behind the bytes in flight. */
const WINDOW_STREAM_BYTES_POSTCOPY = 2 * 2 ** 20
/** Most batches in flight, however small: each takes whole buffers at both ends. */
export const WINDOW_BATCHES_MAX = 40
const WINDOW_WIRE_BYTES_MIN = 2 * 2 ** 20
const WINDOW_WIRE_BYTES_MAX = 8 * 2 ** 20
/** Bytes in flight should be delivered within this time: QEMU computes its downtime from what we accept. */
const WINDOW_MS = 50
const RATE_PERIOD_MS = 100

/** A batch in flight: sent, but not yet accepted by the destination QEMU. */
interface InFlight {
  streamBytes: number
  wireBytes: number
}

/** Bounds the bytes in flight by the recent rate of acknowledgements. */
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

  /** State of the connection, from the acknowledgements and their times. */
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

  /** Adds a batch in flight. */
  add(sequence: number, streamBytes: number, wireBytes: number): void {
    if (this.isEmpty) this.#startPeriod()
    this.#inFlight.set(sequence, { streamBytes, wireBytes })
    this.#streamBytes += streamBytes
    this.#wireBytes += wireBytes
    this.#sentBytes += wireBytes
  }

  /** Removes a batch; returns whether it was in flight. */
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
