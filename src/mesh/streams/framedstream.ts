import type { Clock } from '../../runtime/clock.ts'
import type { MessageStream } from '../mesh.ts'
import { encodeMessageFrame, FrameDecoder, FrameTooLongError } from './framing.ts'
import { Inbox, messageTooLong, streamBroken, streamEnded } from './inbox.ts'

/** Bytes of unread messages at which the sender is stopped. One stream window more may arrive. */
const INBOX_BYTES_MAX = 256 * 1024
/** A peer that has not closed its end after this time is cut off. */
const CLOSE_TIMEOUT_MS = 5_000
/** A stream is broken when its peer reads nothing for this long: it would block the sender for ever. */
const SEND_STALL_MS = 60_000

/** A stream of bytes as a muxer gives it. */
export interface ByteChannel {
  /** Throws once the channel is closed. */
  send(bytes: Uint8Array): void
  /** Whether the peer or the network must take bytes before more are sent. */
  readonly needsDrain: boolean
  pause(): void
  resume(): void
  /** Sends what is queued and closes the writing end. */
  closeWrite(signal: AbortSignal): Promise<void>
  abort(reason: Error): void
  /** Sets the listener; called once, right after the channel was made. */
  listen(listener: ByteChannelListener): void
}

export interface ByteChannelListener {
  bytes(bytes: Uint8Array): void
  /** Bytes were taken: `needsDrain` may have changed. */
  drain(): void
  /** The peer will send nothing more. */
  ended(): void
  closed(error: Error | undefined): void
}

/** Whole messages over a byte channel, each with its length before it. */
export class FramedStream implements MessageStream {
  readonly #clock: Clock
  readonly #channel: ByteChannel
  readonly #messageBytesMax: number
  readonly #decoder: FrameDecoder
  readonly #inbox = new Inbox(() => this.#resumeIfRoom())
  readonly #closed = Promise.withResolvers<void>()
  #drained = Promise.withResolvers<void>()
  #isPaused = false
  #isClosed = false
  #hasEnded = false
  #closing: Promise<void> | undefined
  #error: Error | undefined

  constructor(components: { clock: Clock }, channel: ByteChannel, init: { messageBytesMax: number }) {
    this.#clock = components.clock
    this.#channel = channel
    this.#messageBytesMax = init.messageBytesMax
    this.#decoder = new FrameDecoder(init.messageBytesMax)
    channel.listen({
      bytes: (bytes) => this.#take(bytes),
      drain: () => this.#wakeSenders(),
      ended: () => {
        this.#hasEnded = true
        this.#inbox.end(streamEnded())
      },
      closed: (error) => this.#finish(error),
    })
  }

  async send(message: Uint8Array, signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted()
    if (message.length > this.#messageBytesMax) throw messageTooLong(message.length, this.#messageBytesMax)
    if (this.#isClosed || this.#closing !== undefined) throw this.#error ?? streamEnded()
    try {
      this.#channel.send(encodeMessageFrame(message))
    } catch (error) {
      throw this.#error ?? streamBroken(error)
    }
    // A drain does not promise room: check again until there is some.
    while (this.#channel.needsDrain && !this.#isClosed) await this.#nextDrain(signal)
    if (this.#error !== undefined) throw this.#error
  }

  receive(signal?: AbortSignal): Promise<Uint8Array> {
    return this.#inbox.receive(signal)
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  abort(reason: Error): void {
    this.#inbox.end(streamBroken(reason), true)
    if (!this.#isClosed) this.#channel.abort(reason)
    this.#finish(reason)
  }

  async #close(): Promise<void> {
    this.#inbox.end(streamEnded(), true)
    if (this.#isClosed) return
    // Bytes that still arrive are discarded, but they must be read: the peer's end of stream comes after them.
    if (this.#isPaused) this.#channel.resume()
    const timeout = new AbortController()
    const timer = this.#clock.after(CLOSE_TIMEOUT_MS, () => {
      timeout.abort(new Error('the peer did not close its end of the stream'))
      this.#channel.abort(timeout.signal.reason as Error)
    })
    // `#closed` never rejects.
    void this.#closed.promise.then(() => timer.cancel())
    // A stream that breaks while it closes counts as closed.
    await this.#channel.closeWrite(timeout.signal).catch(() => {})
  }

  #take(piece: Uint8Array): void {
    if (this.#isClosed) return
    try {
      for (const message of this.#decoder.push(piece)) this.#inbox.push(message)
    } catch (error) {
      if (!(error instanceof FrameTooLongError)) throw error
      this.abort(messageTooLong(error.lengthBytes, this.#messageBytesMax))
      return
    }
    if (!this.#isPaused && this.#inbox.bytes >= INBOX_BYTES_MAX) {
      this.#isPaused = true
      this.#channel.pause()
    }
  }

  #resumeIfRoom(): void {
    if (!this.#isPaused || this.#isClosed || this.#inbox.bytes >= INBOX_BYTES_MAX / 2) return
    this.#isPaused = false
    this.#channel.resume()
  }

  async #nextDrain(signal: AbortSignal | undefined): Promise<void> {
    const { promise, reject } = Promise.withResolvers<never>()
    const abort = (): void => reject(signal?.reason)
    signal?.addEventListener('abort', abort, { once: true })
    const timer = this.#clock.after(SEND_STALL_MS, () => this.abort(new Error('the peer takes no more messages')))
    try {
      await Promise.race([this.#drained.promise, promise])
    } finally {
      timer.cancel()
      signal?.removeEventListener('abort', abort)
    }
  }

  #wakeSenders(): void {
    this.#drained.resolve()
    this.#drained = Promise.withResolvers()
  }

  #finish(error: Error | undefined): void {
    if (this.#isClosed) return
    this.#isClosed = true
    // A connection that closes cleanly takes its streams along, with the messages still in them.
    const isCutShort = error === undefined && !this.#hasEnded && this.#closing === undefined
    if (error !== undefined || isCutShort) this.#error = streamBroken(error ?? new Error('the connection was closed'))
    this.#inbox.end(this.#error ?? streamEnded())
    this.#wakeSenders()
    this.#closed.resolve()
  }
}
