import type { Socket, SocketConstructorOpts } from 'node:net'

import type { Endpoint } from '../net/endpoint.ts'
import type { HandedConnection, Taker } from '../net/handover.ts'
import { giveAway } from '../page/index.ts'
import { assert } from '../runtime/assert.ts'
import { deferred } from '../runtime/wait.ts'
import { PatientSocket } from './patientsocket.ts'

/** Most bytes of one read; a shorter read means that the other end paused. */
const READ_BYTES = 256 * 1024

/** Undocumented parts of Node's socket: its handle. */
interface Adoptable {
  _handle: object | null
}

/**
 * Turns a connected socket into an endpoint. The socket must have `allowHalfOpen` and must have been paused since
 * before it was connected (`pauseOnConnect`), so that no byte was read. Do not use the socket itself afterwards.
 */
export function createSocketEndpoint(socket: Socket): Endpoint {
  const adoptable = socket as unknown as Adoptable
  const handle = adoptable._handle
  assert(handle !== null && handle !== undefined, 'a connected socket has a handle')
  const endpoint = new SocketEndpoint({ handle })
  adoptable._handle = null
  return endpoint
}

/** Opens a connection that another thread handed over. */
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

  /** @param early bytes that were already read. */
  constructor(connection: { handle: object } | { fd: number }, early: Uint8Array = new Uint8Array(0)) {
    let why: Error | undefined
    this.#early = early.length > 0 ? early : undefined
    this.#socket = readInPlace(connection, (bytes) => this.#onBytes!(bytes))
    this.#socket.on('end', () => {
      this.#onEnd?.()
      // Writing has failed too: close.
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
    // Deferred, so that the receiver is fully constructed before the first byte.
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
    // Paused before it is handed over; without a receiver it has been paused since before it was connected.
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
 * Reads a socket into one reused buffer instead of new memory for each read, which saves a fifth of the CPU time of a
 * stream of some GB. Node offers this (`onread`) only for sockets that it creates from options, so the paused socket's
 * handle moves to a new socket, paused as well. `receiver` must copy the bytes that it keeps.
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
