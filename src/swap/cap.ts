import { PAGE_BYTES } from '../page/index.ts'
import type { Clock } from '../runtime/clock.ts'
import { Throttle } from '../runtime/throttle.ts'
import { LIMITS } from './limits.ts'

/** Seconds of the rate: the burst, one piece, and the pages that were asked for and have not arrived. */
const BURST_SECONDS = 0.02
const PIECE_SECONDS = 0.025
const ASKED_SECONDS = 0.075
/** Overhead of TCP/IP, Ethernet, TLS and acknowledgements: a factor on each byte, and bytes per message. */
const WIRE_FACTOR = 1.08
const MESSAGE_BYTES = 128
/** Bytes of a page besides its contents: its prefix in the want and its bit in the answer. */
const ENTRY_BYTES = 9
/** A piece is never larger than a message. */
const PIECE_BYTES_MAX = 60 * 1024

/** Bytes on the interface of one message. */
function wireBytes(bytes: number): number {
  return bytes * WIRE_FACTOR + MESSAGE_BYTES
}

/** Upper bound of a want for this many pages and its answer, bytes: a page is never sent larger than it is. */
function worstWireBytes(pages: number): number {
  return 2 * MESSAGE_BYTES + pages * (PAGE_BYTES + ENTRY_BYTES) * WIRE_FACTOR
}

/** Bytes that were paid for and have not arrived. */
export interface Reservation {
  /** The answer has arrived, or never will: unused bytes are given back. */
  settle(usedBytes: number): void
}

/**
 * The cap of proactive traffic: one allowance for both ways, paid before bytes leave and before pages are asked for.
 *
 * No second sees more than 1.2 times the rate: at most the rate, the burst (0.02) and one piece (0.025) are spent
 * within it, and at most 0.075 arrive that were asked for before. At rates at which a page is larger than such a share,
 * the share is one page: the least configurable rate keeps the sum below the bound.
 */
export class ProactiveCap {
  readonly #throttle: Throttle
  readonly #askedBytesMax: number
  readonly #onHeld: (isHeld: boolean) => void
  #holds = 0
  #askedBytes = 0
  /** The end of the queue of payers, first come, first served, so that neither way starves the other. */
  #turn: Promise<void> = Promise.resolve()
  #settled = Promise.withResolvers<void>()
  /** Bytes of one piece, and pages of one want. */
  readonly pieceBytes: number
  readonly pagesPerWant: number

  /** @param init.onHeld called with true at the first hold, and with false when the last one is released. */
  constructor(
    components: { clock: Clock }, init: { bytesPerSecondMax: number; onHeld?: (isHeld: boolean) => void },
  ) {
    const rate = init.bytesPerSecondMax
    this.#throttle = new Throttle(components, { rate, burst: rate * BURST_SECONDS })
    this.#askedBytesMax = rate * ASKED_SECONDS
    this.#onHeld = init.onHeld ?? (() => undefined)
    this.pieceBytes = Math.min(PIECE_BYTES_MAX, Math.max(PAGE_BYTES, Math.floor(rate * PIECE_SECONDS)))
    const pages = Math.floor((rate * PIECE_SECONDS) / worstWireBytes(1))
    this.pagesPerWant = Math.max(1, Math.min(LIMITS.pagesPerWant, pages))
  }

  get isHeld(): boolean {
    return this.#holds > 0
  }

  /** Makes all payers wait; returns the function that releases them. */
  hold(): () => void {
    if (++this.#holds === 1) this.#onHeld(true)
    let isHeld = true
    return () => {
      if (!isHeld) return
      isHeld = false
      if (--this.#holds === 0) this.#onHeld(false)
    }
  }

  /** Waits until this many bytes may leave. */
  async pay(bytes: number, signal: AbortSignal): Promise<void> {
    await this.#take(wireBytes(bytes), signal)
  }

  /** Counts bytes that were sent or received without being paid for: refusals, and stray answers. */
  charge(bytes: number): void {
    this.#throttle.spend(wireBytes(bytes))
  }

  /** Waits until this many pages may be asked for. */
  async reserve(pages: number, signal: AbortSignal): Promise<Reservation> {
    const bytes = worstWireBytes(pages)
    // A single want may always be under way, however large.
    while (this.#askedBytes > 0 && this.#askedBytes + bytes > this.#askedBytesMax) {
      await unlessAborted(this.#settled.promise, signal)
    }
    this.#askedBytes += bytes
    try {
      await this.#take(bytes, signal)
    } catch (error) {
      this.#forget(bytes)
      throw error
    }
    let isSettled = false
    return {
      settle: (usedBytes) => {
        if (isSettled) return
        isSettled = true
        this.#throttle.giveBack(Math.max(0, bytes - wireBytes(usedBytes) - MESSAGE_BYTES))
        this.#forget(bytes)
      },
    }
  }

  #forget(bytes: number): void {
    this.#askedBytes -= bytes
    this.#settled.resolve()
    this.#settled = Promise.withResolvers()
  }

  async #take(bytes: number, signal: AbortSignal): Promise<void> {
    const turn = this.#turn.then(async () => {
      signal.throwIfAborted()
      await this.#throttle.take(bytes, signal)
    })
    // The caller of this turn gets its error; the next one only waits for its end.
    this.#turn = turn.catch(() => undefined)
    await unlessAborted(turn, signal)
  }
}

/** Waits for `work`, which continues in the background if the signal aborts first. */
async function unlessAborted(work: Promise<void>, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted()
  const { promise, reject } = Promise.withResolvers<never>()
  const abort = (): void => reject(signal.reason)
  signal.addEventListener('abort', abort, { once: true })
  try {
    await Promise.race([work, promise])
  } finally {
    signal.removeEventListener('abort', abort)
  }
}
