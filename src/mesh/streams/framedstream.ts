import type { Clock } from '../../runtime/clock.ts'
import type { MessageStream } from '../mesh.ts'
import { FrameDecoder, FrameTooLongError, encodeMessageFrame } from './framing.ts'
import { Inbox, messageTooLong, streamBroken, streamEnded } from './inbox.ts'

/** Bytes of messages nobody has received yet at which the sender is stopped. It may overshoot by one stream window. */
const INBOX_BYTES_MAX = 256 * 1024
/** A peer that closes its end no sooner than this is cut off. */
const CLOSE_TIMEOUT_MS = 5_000
/** A peer that takes nothing for this long has its stream broken: it would block its sender for ever. */
const SEND_STALL_MS = 60_000

/** A stream of bytes as a muxer gives it. */
export interface ByteChannel {
  /** Throws once the channel is closed. */
  send(bytes: Uint8Array): void
  /** Whether the peer or the network must take something before more is sent. */
  readonly needsDrain: boolean
  pause(): void
  resume(): void
  /** Sends what is queued and closes the writing end. */
  closeWrite(signal: AbortSignal): Promise<void>
  abort(reason: Error): void
  /** Sets who hears of the channel; called once, at once after the channel came to be. */
  listen(listener: ByteChannelListener): void
}

export interface ByteChannelListener {
  bytes(bytes: Uint8Array): void
  /** Something was taken: `needsDrain` may have changed. */
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
    // A drain only says that something was taken: look again until there is room.
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
    // Whatever still arrives is discarded, but it must arrive: the peer's end of stream stands behind it.
    if (this.#isPaused) this.#channel.resume()
    const timeout = new AbortController()
    const timer = this.#clock.after(CLOSE_TIMEOUT_MS, () => {
      timeout.abort(new Error('the peer did not close its end of the stream'))
      this.#channel.abort(timeout.signal.reason as Error)
    })
    // `#closed` is only ever resolved.
    void this.#closed.promise.then(() => timer.cancel())
    // A stream that breaks while it is being closed is closed all the same.
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
    // A connection that closes in good order takes its streams with it, and with them what they still held.
    const isCutShort = error === undefined && !this.#hasEnded && this.#closing === undefined
    if (error !== undefined || isCutShort) this.#error = streamBroken(error ?? new Error('the connection was closed'))
    this.#inbox.end(this.#error ?? streamEnded())
    this.#wakeSenders()
    this.#closed.resolve()
  }
}
