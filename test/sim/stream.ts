import { MESSAGE_BYTES_MAX, type MessageStream } from '../../src/mesh/index.ts'
import { Inbox, messageTooLong, streamBroken, streamEnded } from '../../src/mesh/streams/inbox.ts'
import type { Clock } from '../../src/runtime/clock.ts'

/** Bytes on their way or unread at which `send` waits for the receiver. */
const QUEUE_BYTES_MAX = 256 * 1024

/** One error for all streams: they end by the million, and each new error would record a stack. */
const ENDED = streamEnded()

/** The common state of both ends of a stream. */
interface Route {
  clock: Clock
  /** One-way delay; the same for all messages of the stream, so that they keep their order. */
  delayMs: number
  /** Messages, both ways together, after which the stream breaks; Infinity: never. */
  breaksAfter: number
  /** Whether the network passes anything now. */
  isOpen: () => boolean
}

/** One end of a stream through the simulated network. */
export class SimStream implements MessageStream {
  readonly #route: Route
  readonly #onClosed: (end: SimStream) => void
  readonly #inbox = new Inbox(() => this.#peer.#wakeSenders())
  #peer!: SimStream
  /** Bytes on their way to this end. */
  #underwayBytes = 0
  #error: Error | undefined
  #isClosed = false
  #taken: PromiseWithResolvers<void> | undefined

  /** Both ends of a new stream. `onClosed` is called for each end that has closed or broken. */
  static pair(route: Route, onClosed: (end: SimStream) => void): [SimStream, SimStream] {
    const near = new SimStream(route, onClosed)
    const far = new SimStream(route, onClosed)
    near.#peer = far
    far.#peer = near
    return [near, far]
  }

  private constructor(route: Route, onClosed: (end: SimStream) => void) {
    this.#route = route
    this.#onClosed = onClosed
  }

  async send(message: Uint8Array, signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted()
    if (message.length > MESSAGE_BYTES_MAX) throw messageTooLong(message.length, MESSAGE_BYTES_MAX)
    if (this.#error !== undefined || this.#isClosed) throw this.#error ?? ENDED
    const peer = this.#peer
    const copy = message.slice()
    peer.#underwayBytes += copy.length
    this.#transmit(() => {
      peer.#underwayBytes -= copy.length
      peer.#inbox.push(copy)
      this.#wakeSenders()
    })
    while (peer.#queuedBytes >= QUEUE_BYTES_MAX && this.#error === undefined) await this.#nextTaken(signal)
    // TypeScript has narrowed it by the check above; it may have broken during the wait.
    const error = this.#error as Error | undefined
    if (error !== undefined) throw error
  }

  receive(signal?: AbortSignal): Promise<Uint8Array> {
    return this.#inbox.receive(signal)
  }

  async close(): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#inbox.end(ENDED, true)
    const peer = this.#peer
    this.#transmit(() => {
      peer.#inbox.end(ENDED)
      peer.#wakeSenders()
    })
    this.#onClosed(this)
  }

  abort(reason: Error): void {
    if (this.#error !== undefined || this.#isClosed) return
    this.break(reason)
    this.#transmit(() => this.#peer.break(new Error('the other host broke the stream')))
  }

  /** Breaks this end only. */
  break(reason: Error): void {
    if (this.#error !== undefined || this.#isClosed) return
    this.#error = streamBroken(reason)
    this.#inbox.end(this.#error, true)
    this.#wakeSenders()
    this.#onClosed(this)
  }

  get #queuedBytes(): number {
    return this.#underwayBytes + this.#inbox.bytes
  }

  /** Messages sent while the network passes nothing are lost: the stream hangs until its host notices. */
  #transmit(arrive: () => void): void {
    const { clock, delayMs, isOpen } = this.#route
    this.#route.breaksAfter -= 1
    if (this.#route.breaksAfter < 0) {
      clock.after(delayMs, () => {
        this.break(new Error('the network broke the stream'))
        this.#peer.break(new Error('the network broke the stream'))
      })
      return
    }
    clock.after(delayMs, () => { if (isOpen()) arrive() })
  }

  #wakeSenders(): void {
    this.#taken?.resolve()
    this.#taken = undefined
  }

  async #nextTaken(signal: AbortSignal | undefined): Promise<void> {
    this.#taken ??= Promise.withResolvers<void>()
    const aborted = Promise.withResolvers<never>()
    const abort = (): void => aborted.reject(signal?.reason)
    signal?.addEventListener('abort', abort, { once: true })
    try {
      await Promise.race([this.#taken.promise, aborted.promise])
    } finally {
      signal?.removeEventListener('abort', abort)
    }
  }
}
