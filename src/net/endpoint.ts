import { deferred } from '../runtime/wait.ts'
import type { HandedConnection, Taker } from './handover.ts'

/** One connection as bytes both ways, with real back-pressure: QEMU's channel as a passage sees it. */
export interface Endpoint {
  /**
   * Passes every arriving piece to `onBytes`, which must copy what it keeps (the buffer is reused), then calls `onEnd`
   * once at the other side's end of stream. Call it once; nothing is read before.
   */
  receive(onBytes: (bytes: Buffer) => void, onEnd: () => void): void
  /** Stops `onBytes` until `resume`: bytes that still arrive fill the buffers, which then block the writer. */
  pause(): void
  resume(): void
  /**
   * Resolves when the other side's system took the bytes, in order; rejects when it never will. They must not change
   * until then. After a failed write, bytes from the other side can still be read.
   */
  write(bytes: Uint8Array): Promise<void>
  /** Half-closes, after all that was written. Idempotent. */
  end(): void
  /** Closes both directions at once; bytes not yet taken are lost. Idempotent. */
  destroy(): void
  /** Resolves when it is closed, with the error that closed it, if one did. Never rejects. */
  readonly closed: Promise<Error | undefined>
  /**
   * Gives the connection to another thread, if possible: before `receive`. From then on only `destroy` and `closed` may
   * be used here, and they follow it. Undefined, without any effect, if it is not possible.
   */
  handOver?(taker: Taker): HandedConnection | undefined
}

/** Most bytes on the way in one direction of a pair before its writer must wait. */
const WAY_BYTES_MAX = 256 * 1024

/**
 * Two ends of one connection in memory, for tests and embedders. They behave like a UNIX socket: `destroy` looks like a
 * normal end to the other side's reader, or like an error if bytes were left unread, and the other side's next write
 * fails. Everything arrives in later microtasks; no clock is needed.
 */
export function createEndpointPair(): [Endpoint, Endpoint] {
  const there = new Way()
  const back = new Way()
  return [new PairEnd(there, back), new PairEnd(back, there)]
}

interface WaitingWrite {
  rest: Uint8Array
  taken: () => void
  failed: (error: Error) => void
}

/** One direction: pieces on their way, and writes that wait for room. */
class Way {
  readonly #pieces: Buffer[] = []
  readonly #writes: WaitingWrite[] = []
  #heldBytes = 0
  #ending = false
  #writerGone: 'no' | 'ended' | 'reset' = 'no'
  #readerGone = false
  /** Called one microtask after there is something to take: bytes, an end or an error. */
  onNews: (() => void) | undefined
  onWriteRefused: ((error: Error) => void) | undefined
  #isNewsDue = false

  get isEmpty(): boolean {
    return this.#pieces.length === 0
  }

  /** How the way ended, once everything on it was taken. */
  get over(): 'no' | 'ended' | 'reset' {
    if (!this.isEmpty || this.#writes.length > 0) return 'no'
    return this.#ending ? 'ended' : this.#writerGone
  }

  write(bytes: Uint8Array): Promise<void> {
    if (this.#ending || this.#writerGone !== 'no') return Promise.reject(new Error('write after the end'))
    if (this.#readerGone) {
      const error = new Error('the other side is closed')
      this.onWriteRefused?.(error)
      return Promise.reject(error)
    }
    return new Promise((taken, failed) => {
      this.#writes.push({ rest: bytes, taken, failed })
      this.#admit()
    })
  }

  end(): void {
    this.#ending = true
    this.tell()
  }

  /** The writer closed: bytes already on the way still arrive, the rest never will. */
  abandon(isReset: boolean): void {
    if (this.#writerGone === 'no') this.#writerGone = isReset ? 'reset' : 'ended'
    this.#refuseWrites(new Error('the connection was closed'))
    this.tell()
  }

  /** The reader closed: nobody takes the bytes on the way. */
  block(): void {
    this.#readerGone = true
    this.#pieces.length = 0
    const hadWrites = this.#writes.length > 0
    const error = new Error('the other side is closed')
    this.#refuseWrites(error)
    if (hadWrites) this.onWriteRefused?.(error)
  }

  take(): Buffer | undefined {
    const piece = this.#pieces.shift()
    if (piece === undefined) return undefined
    this.#heldBytes -= piece.length
    this.#admit()
    return piece
  }

  tell(): void {
    if (this.#isNewsDue) return
    this.#isNewsDue = true
    queueMicrotask(() => {
      this.#isNewsDue = false
      this.onNews?.()
    })
  }

  #admit(): void {
    for (let write = this.#writes[0]; write !== undefined; write = this.#writes[0]) {
      const room = Math.min(WAY_BYTES_MAX - this.#heldBytes, write.rest.length)
      if (room > 0) {
        this.#pieces.push(Buffer.from(write.rest.subarray(0, room)))
        this.#heldBytes += room
        write.rest = write.rest.subarray(room)
        this.tell()
      }
      if (write.rest.length > 0) return
      this.#writes.shift()
      write.taken()
    }
  }

  #refuseWrites(error: Error): void {
    for (const { failed } of this.#writes.splice(0)) failed(error)
  }
}

class PairEnd implements Endpoint {
  readonly #outgoing: Way
  readonly #incoming: Way
  readonly #closing = deferred<Error | undefined>()
  readonly closed = this.#closing.promise
  #listener: { onBytes: (bytes: Buffer) => void; onEnd: () => void } | undefined
  #isPaused = false
  #isClosed = false
  #hasEnded = false
  #hasHeardEnd = false
  #writeError: Error | undefined

  constructor(outgoing: Way, incoming: Way) {
    this.#outgoing = outgoing
    this.#incoming = incoming
    incoming.onNews = () => this.#deliver()
    outgoing.onWriteRefused = (error) => { this.#writeError ??= error }
  }

  receive(onBytes: (bytes: Buffer) => void, onEnd: () => void): void {
    this.#listener = { onBytes, onEnd }
    this.#incoming.tell()
  }

  pause(): void {
    this.#isPaused = true
  }

  resume(): void {
    this.#isPaused = false
    this.#incoming.tell()
  }

  async write(bytes: Uint8Array): Promise<void> {
    await this.#outgoing.write(bytes)
  }

  end(): void {
    if (this.#hasEnded || this.#isClosed) return
    this.#hasEnded = true
    this.#outgoing.end()
    this.#closeIfDone()
  }

  destroy(): void {
    this.#close(undefined)
  }

  #deliver(): void {
    while (!this.#isClosed && !this.#isPaused && this.#listener !== undefined) {
      const piece = this.#incoming.take()
      if (piece === undefined) break
      this.#listener.onBytes(piece)
    }
    if (this.#isClosed || this.#isPaused || this.#listener === undefined || this.#hasHeardEnd) return
    const over = this.#incoming.over
    if (over === 'reset') this.#close(new Error('the other side closed without reading everything'))
    if (over !== 'ended') return
    this.#hasHeardEnd = true
    this.#listener.onEnd()
    this.#closeIfDone()
  }

  #closeIfDone(): void {
    if (this.#hasHeardEnd && (this.#hasEnded || this.#writeError !== undefined)) this.#close(undefined)
  }

  #close(error: Error | undefined): void {
    if (this.#isClosed) return
    this.#isClosed = true
    const isReset = !this.#incoming.isEmpty
    // A half-closed direction still delivers its bytes; an unfinished one is given up.
    if (!this.#hasEnded || isReset) this.#outgoing.abandon(isReset)
    this.#incoming.block()
    this.#closing.resolve(error ?? this.#writeError)
  }
}
