import type { Socket, SocketConstructorOpts } from 'node:net'

import { assert } from '../runtime/assert.ts'
import type { Endpoint } from '../runtime/endpoint.ts'
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
  return new SocketEndpoint(socket)
}

class SocketEndpoint implements Endpoint {
  readonly #socket: PatientSocket
  readonly #closing = deferred<Error | undefined>()
  readonly closed = this.#closing.promise
  #onBytes: ((bytes: Buffer) => void) | undefined
  #onEnd: (() => void) | undefined
  #isPaused = false

  constructor(connected: Socket) {
    let why: Error | undefined
    this.#socket = readInPlace(connected, (bytes) => this.#onBytes!(bytes))
    this.#socket.on('end', () => {
      this.#onEnd?.()
      // Nothing can be said any more either: there is nothing to wait for.
      if (this.#socket.writeError !== undefined) this.#socket.destroy()
    })
    this.#socket.on('error', (error) => { why = error })
    this.#socket.on('close', () => this.#closing.resolve(why ?? this.#socket.writeError))
  }

  receive(onBytes: (bytes: Buffer) => void, onEnd: () => void): void {
    this.#onBytes = onBytes
    this.#onEnd = onEnd
    if (!this.#isPaused) this.#socket.resume()
  }

  pause(): void {
    this.#isPaused = true
    this.#socket.pause()
  }

  resume(): void {
    this.#isPaused = false
    if (this.#onBytes !== undefined) this.#socket.resume()
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
    this.#socket.destroy()
  }
}

/**
 * Reads a socket into one buffer that is used again, instead of fresh memory for each read: with a stream of some GB
 * that is a fifth of the CPU time. Node offers this (`onread`) only to sockets that it makes from options, so the
 * handle of the paused socket moves to a new one, paused as well. `receiver` must copy what it keeps.
 */
function readInPlace(paused: Socket, receiver: (bytes: Buffer) => void): PatientSocket {
  const adoptable = paused as unknown as Adoptable
  const handle = adoptable._handle
  assert(handle !== null && handle !== undefined, 'a connected socket has a handle')
  const buffer = Buffer.from(new ArrayBuffer(READ_BYTES))
  const options = {
    handle,
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
  const socket = new PatientSocket(options as SocketConstructorOpts)
  adoptable._handle = null
  return socket
}
