import type { Socket, SocketConstructorOpts } from 'node:net'

import type { Endpoint } from '../net/endpoint.ts'
import type { HandedConnection, Taker } from '../net/handover.ts'
import { giveAway } from '../page/index.ts'
import { assert } from '../runtime/assert.ts'
import { deferred } from '../runtime/wait.ts'
import { PatientSocket } from './patientsocket.ts'

/** What one read of a socket brings at most: a shorter one says that the other end paused. */
const READ_BYTES = 256 * 1024

/** The part of a socket that Node does not document: the operating system's end of it. */
interface Adoptable {
  _handle: object | null
}

/**
 * A connected socket as an endpoint. It must have been made with `allowHalfOpen` and be paused since before it was
 * connected (`pauseOnConnect`), so that nothing was read from it; it is not to be used by anybody else afterwards.
 */
export function createSocketEndpoint(socket: Socket): Endpoint {
  const adoptable = socket as unknown as Adoptable
  const handle = adoptable._handle
  assert(handle !== null && handle !== undefined, 'a connected socket has a handle')
  const endpoint = new SocketEndpoint({ handle })
  adoptable._handle = null
  return endpoint
}

/** A connection that another thread gave away. */
export function openHandedEndpoint({ fd, early }: HandedConnection): Endpoint {
  return new SocketEndpoint({ fd }, early)
}

class SocketEndpoint implements Endpoint {
  readonly #socket: PatientSocket
  readonly #closing = deferred<Error | undefined>()
  readonly closed = this.#closing.promise
  #onBytes: ((bytes: Buffer) => void) | undefined
  #onEnd: (() => void) | undefined
  #isPaused = false
  #early: Uint8Array | undefined
  #taker: Taker | undefined

  /** @param early what was read already. */
  constructor(connection: { handle: object } | { fd: number }, early: Uint8Array = new Uint8Array(0)) {
    let why: Error | undefined
    this.#early = early.length > 0 ? early : undefined
    this.#socket = readInPlace(connection, (bytes) => this.#onBytes!(bytes))
    this.#socket.on('end', () => {
      this.#onEnd?.()
      // Nothing can be said any more either: there is nothing to wait for.
      if (this.#socket.writeError !== undefined) this.#socket.destroy()
    })
    this.#socket.on('error', (error) => { why = error })
    this.#socket.on('close', () => {
      if (this.#taker === undefined) this.#closing.resolve(why ?? this.#socket.writeError)
    })
  }

  receive(onBytes: (bytes: Buffer) => void, onEnd: () => void): void {
    this.#onBytes = onBytes
    this.#onEnd = onEnd
    if (this.#early === undefined) this.#flow()
    // Nothing comes before whoever receives has been made.
    else queueMicrotask(() => this.#flow())
  }

  pause(): void {
    this.#isPaused = true
    this.#socket.pause()
  }

  resume(): void {
    this.#isPaused = false
    if (this.#onBytes !== undefined) this.#flow()
  }

  write(bytes: Uint8Array): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#socket.write(bytes, (error) => {
        const why = error ?? this.#socket.writeError
        if (why === undefined) resolve()
        else reject(why)
      })
    })
  }

  end(): void {
    if (!this.#socket.writableEnded) this.#socket.end()
  }

  destroy(): void {
    const owner = this.#taker ?? this.#socket
    owner.destroy()
  }

  handOver(taker: Taker): HandedConnection | undefined {
    // It is paused before it is given away, and has been since before it was connected if nobody receives.
    const handed = giveAway(this.#socket)
    if (handed === undefined) return undefined
    this.#taker = taker
    // It never rejects.
    void taker.closed.then((error) => this.#closing.resolve(error))
    return handed
  }

  #flow(): void {
    const early = this.#early
    if (this.#isPaused || this.#socket.destroyed) return
    this.#early = undefined
    if (early !== undefined) this.#onBytes!(Buffer.from(early.buffer, early.byteOffset, early.length))
    if (!this.#isPaused) this.#socket.resume()
  }
}

/**
 * Reads a socket into one buffer that is used again, instead of fresh memory for each read: with a stream of some GB
 * that is a fifth of the CPU time. Node offers this (`onread`) only to sockets that it makes from options, so the
 * handle of the paused socket moves to a new one, paused as well. `receiver` must copy what it keeps.
 */
function readInPlace(
  connection: { handle: object } | { fd: number }, receiver: (bytes: Buffer) => void,
): PatientSocket {
  const buffer = Buffer.from(new ArrayBuffer(READ_BYTES))
  const options = {
    ...connection,
    allowHalfOpen: true,
    readable: true,
    writable: true,
    pauseOnCreate: true,
    onread: {
      buffer,
      callback(bytesRead: number, bytes: Uint8Array): boolean {
        receiver(Buffer.from(bytes.buffer, bytes.byteOffset, bytesRead))
        return true
      },
    },
  }
  return new PatientSocket(options as SocketConstructorOpts)
}
