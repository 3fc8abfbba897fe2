import { MESSAGE_BYTES_MAX } from '../limits.ts'
import type { MessageStream } from '../mesh.ts'
import { Inbox, messageTooLong, streamBroken, streamEnded } from '../streams/inbox.ts'

/** Bytes of unread messages at which `send` waits for the receiver. */
const QUEUE_BYTES_MAX = 256 * 1024

/** One end of a stream inside this process. */
export class MemoryStream implements MessageStream {
  readonly #inbox = new Inbox(() => this.#peer?.wakeSenders())
  #peer: MemoryStream | undefined
  #error: Error | undefined
  #isClosed = false
  #taken = Promise.withResolvers<void>()

  /** Both ends of a new stream. `onClosed` is called for each end that has closed or broken. */
  static pair(onClosed: (end: MemoryStream) => void): [MemoryStream, MemoryStream] {
    const near = new MemoryStream(onClosed)
    const far = new MemoryStream(onClosed)
    near.#peer = far
    far.#peer = near
    return [near, far]
  }

  readonly #onClosed: (end: MemoryStream) => void

  private constructor(onClosed: (end: MemoryStream) => void) {
    this.#onClosed = onClosed
  }

  async send(message: Uint8Array, signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted()
    if (message.length > MESSAGE_BYTES_MAX) throw messageTooLong(message.length, MESSAGE_BYTES_MAX)
    if (this.#error !== undefined || this.#isClosed) throw this.#error ?? streamEnded()
    const inbox = this.#peer!.#inbox
    inbox.push(message.slice())
    while (inbox.bytes >= QUEUE_BYTES_MAX && this.#error === undefined) await this.#nextTaken(signal)
    if (this.#error !== undefined) throw this.#error
  }

  receive(signal?: AbortSignal): Promise<Uint8Array> {
    return this.#inbox.receive(signal)
  }

  async close(): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#inbox.end(streamEnded(), true)
    this.#peer!.#inbox.end(streamEnded())
    this.#peer!.wakeSenders()
    this.#onClosed(this)
  }

  abort(reason: Error): void {
    this.break(reason)
    this.#peer!.break(new Error('the other host broke the stream'))
  }

  /** Breaks this end only. */
  break(reason: Error): void {
    if (this.#error !== undefined || this.#isClosed) return
    this.#error = streamBroken(reason)
    this.#inbox.end(this.#error, true)
    this.wakeSenders()
    this.#onClosed(this)
  }

  wakeSenders(): void {
    this.#taken.resolve()
    this.#taken = Promise.withResolvers()
  }

  async #nextTaken(signal: AbortSignal | undefined): Promise<void> {
    const { promise, reject } = Promise.withResolvers<never>()
    const abort = (): void => reject(signal?.reason)
    signal?.addEventListener('abort', abort, { once: true })
    try {
      await Promise.race([this.#taken.promise, promise])
    } finally {
      signal?.removeEventListener('abort', abort)
    }
  }
}
