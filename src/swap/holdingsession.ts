import type { Lane, Member, Mesh, MessageStream } from '../mesh/index.ts'
import type { Prefixes } from '../page/index.ts'
import type { Clock } from '../runtime/clock.ts'
import { PagemeshError } from '../runtime/errors.ts'
import { withDeadline } from '../runtime/wait.ts'
import type { Account } from './account.ts'
import type { SwapPurpose } from './api.ts'
import type { ProactiveCap } from './cap.ts'
import { encodeBusy, encodePagesHead } from './frames.ts'
import type { ReadPages } from './reading.ts'
import { encodeShut, encodeSlice, encodeTicket } from './wire.ts'

/** After this many bytes over the stream, a bulk lane is worth its handshake. */
const LANE_AFTER_BYTES = 128 * 1024
/** A slice of the sequence of frames that fits one message. */
const SLICE_BYTES = 60 * 1024
/** The session of an asker that reads nothing for this long is ended, ms. */
const SEND_TIMEOUT_MS = 10_000

export interface Want {
  sequence: number
  prefixes: Prefixes
}

interface Components {
  mesh: Mesh
  clock: Clock
  cap: ProactiveCap
  account: Account
}

/** The answering end of one session: the wants not answered yet, and the way of the answers. */
export class HoldingSession {
  readonly from: Member
  readonly purpose: SwapPurpose
  /** Waiting wants, the oldest first, and how many are being answered. */
  readonly wants: Want[] = []
  answering = 0
  /** Refusals not sent yet. */
  refusing = 0
  readonly #components: Components
  readonly #stream: MessageStream
  /** Aborts when the session is over. */
  readonly signal: AbortSignal
  #lastSequence = 0
  /** Answers are sent one after the other. */
  #sending: Promise<unknown> = Promise.resolve()
  #streamBytes = 0
  #hasOffered = false
  #lane: Lane | undefined
  #isShut = false

  constructor(
    components: Components, init: { stream: MessageStream; from: Member; purpose: SwapPurpose; signal: AbortSignal },
  ) {
    this.#components = components
    this.#stream = init.stream
    this.signal = init.signal
    this.from = init.from
    this.purpose = init.purpose
  }

  get isShut(): boolean {
    return this.#isShut
  }

  /** Whether a want may have this sequence: it must be above all before it. */
  accepts(sequence: number): boolean {
    const isNext = sequence > this.#lastSequence
    this.#lastSequence = Math.max(sequence, this.#lastSequence)
    return isNext
  }

  /** Tells that this host pauses, or resumes. Wants whose answer has not begun will not be answered. */
  async setShut(isShut: boolean): Promise<void> {
    if (isShut === this.#isShut) return
    this.#isShut = isShut
    if (isShut) this.wants.length = 0
    await this.#say(encodeShut(isShut))
  }

  /** Tells the asker to go elsewhere. A failure shows when the session ends. */
  async refuse(sequence: number): Promise<void> {
    this.refusing += 1
    try {
      await this.#send([encodeBusy(sequence)])
    } catch {
      // A session that cannot send this is over, or will be.
    } finally {
      this.refusing -= 1
    }
  }

  /** Sends an answer after all before it; false if it was dropped because this host pauses. */
  answer({ sequence, prefixes }: Want, { bitmap, packed }: ReadPages): Promise<boolean> {
    return this.#send([encodePagesHead(sequence, prefixes.count, bitmap, packed.length), packed])
  }

  /** The session is over. */
  end(): void {
    this.wants.length = 0
    this.#lane?.destroy()
  }

  #send(frame: readonly Buffer[]): Promise<boolean> {
    const sent = this.#sending.then(async () => {
      this.signal.throwIfAborted()
      return this.purpose === 'placement' ? await this.#sendCapped(frame) : await this.#sendAtOnce(frame)
    })
    // The caller gets the error; the next answer only waits for the end.
    this.#sending = sent.catch(() => undefined)
    return sent
  }

  async #sendAtOnce(frame: readonly Buffer[]): Promise<boolean> {
    const lane = this.#lane
    if (lane === undefined) {
      for (const part of frame) {
        for (let at = 0; at < part.length; at += SLICE_BYTES) await this.#sendSlice(part.subarray(at, at + SLICE_BYTES))
      }
    } else {
      lane.cork()
      for (const part of frame) lane.write(part)
      lane.uncork()
      await this.#inTime((signal) => lane.drained(signal))
    }
    this.#offerLane()
    return true
  }

  /** Pays for each piece before sending it; after the first piece the answer is completed. */
  async #sendCapped(frame: readonly Buffer[]): Promise<boolean> {
    const { cap } = this.#components
    const bytes = Buffer.concat(frame)
    const lane = this.#lane
    for (let at = 0; at < bytes.length; at += cap.pieceBytes) {
      const piece = bytes.subarray(at, at + cap.pieceBytes)
      await cap.pay(piece.length, this.signal)
      if (at === 0 && this.#isShut) return false
      if (lane === undefined) await this.#sendSlice(piece)
      else if (!lane.write(piece)) await this.#inTime((signal) => lane.drained(signal))
    }
    this.#offerLane()
    return true
  }

  async #sendSlice(bytes: Uint8Array): Promise<void> {
    this.#streamBytes += bytes.length
    await this.#say(encodeSlice(bytes))
  }

  async #say(message: Uint8Array): Promise<void> {
    await this.#inTime((signal) => this.#components.account.send(this.#stream, message, signal))
  }

  /** Once, after many bytes over the stream. If no lane comes of it, the stream goes on to serve. */
  #offerLane(): void {
    if (this.#hasOffered || this.#streamBytes < LANE_AFTER_BYTES) return
    this.#hasOffered = true
    // The stream goes on in its place; if that breaks as well, it is noticed there.
    void this.#openLane().catch(() => undefined)
  }

  async #openLane(): Promise<void> {
    const { mesh, account } = this.#components
    const { ticket, lane: coming } = mesh.offerLane(this.signal)
    await this.#say(encodeTicket(ticket))
    const lane = await coming
    account.watch(lane)
    // Nothing arrives here, but only a reader sees the other end close.
    lane.receive(() => lane.destroy())
    if (this.signal.aborted) {
      lane.destroy()
      return
    }
    this.#lane = lane
    // `closed` never rejects.
    void lane.closed.then(() => this.#stream.abort(new Error('the lane of the session closed')))
  }

  async #inTime(send: (signal: AbortSignal) => Promise<void>): Promise<void> {
    const late = (): Error => {
      const error = new PagemeshError('swap-stalled', 'A host stopped reading the pages that it asked for.', {
        fault: 'peer', phase: 'swap',
      })
      this.#stream.abort(error)
      return error
    }
    await withDeadline(this.#components.clock, { signal: this.signal, limitMs: SEND_TIMEOUT_MS, late }, send)
  }
}
