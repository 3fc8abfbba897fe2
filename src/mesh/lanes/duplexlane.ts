import type { Duplex } from 'node:stream'

import type { Delivery } from '../../page/index.ts'
import { assert } from '../../runtime/assert.ts'
import type { Clock } from '../../runtime/clock.ts'
import { PagemeshError } from '../../runtime/errors.ts'
import type { Lane } from './lane.ts'

/** Bytes that a lane queues before `write` returns false: a corked batch of 256 pages, and some on their way. */
const LANE_QUEUE_BYTES_MAX = 4 * 1024 * 1024
/** How long `end` waits for a peer that reads nothing more, ms. */
const END_STALL_MS = 30_000

/** What a lane needs of its connection beyond a Duplex. */
export interface LaneConnection {
  duplex: Duplex
  /** Begins to deliver arriving pieces; their buffer may be used again. */
  deliver(receiver: (bytes: Uint8Array) => void): void
  pause(): void
  resume(): void
  /** Bytes on the wire so far; still right once the connection is closed. */
  sentBytes(): number
  receivedBytes(): number
  /** Undefined if no operating system carries it. */
  delivery?(): Delivery | undefined
}

/** A lane over any Duplex: a TLS socket between hosts, one half of a pair inside a process. */
export class DuplexLane implements Lane {
  readonly closed: Promise<Error | undefined>
  readonly #clock: Clock
  readonly #connection: LaneConnection
  readonly #duplex: Duplex
  #roomWaiters: Array<{ resolve: () => void; reject: (error: Error) => void }> = []
  #isReceiving = false
  #isClosed = false
  #error: Error | undefined

  constructor(components: { clock: Clock }, connection: LaneConnection) {
    this.#clock = components.clock
    this.#connection = connection
    this.#duplex = connection.duplex
    this.#duplex.on('error', (error) => { this.#error ??= error })
    this.closed = new Promise((resolve) => {
      this.#duplex.once('close', () => {
        this.#isClosed = true
        for (const waiter of this.#roomWaiters.splice(0)) waiter.reject(this.#closedError())
        resolve(this.#error)
      })
    })
  }

  get sentBytes(): number {
    return this.#connection.sentBytes()
  }

  get receivedBytes(): number {
    return this.#connection.receivedBytes()
  }

  get delivery(): Delivery | undefined {
    return this.#connection.delivery?.()
  }

  write(bytes: Uint8Array): boolean {
    if (this.#isOver()) return false
    this.#duplex.write(bytes, this.#wakeWaiters)
    return this.#hasRoom()
  }

  drained(signal?: AbortSignal): Promise<void> {
    if (this.#isOver()) return Promise.reject(this.#closedError())
    if (signal?.aborted === true) return Promise.reject(signal.reason)
    // A corked queue would never drain.
    while (this.#duplex.writableCorked > 0) this.#duplex.uncork()
    if (this.#hasRoom()) return Promise.resolve()
    return new Promise((resolve, reject) => {
      const settle = (): void => {
        signal?.removeEventListener('abort', abort)
        this.#roomWaiters = this.#roomWaiters.filter((other) => other !== waiter)
      }
      const abort = (): void => {
        settle()
        reject(signal?.reason)
      }
      const waiter = {
        resolve: () => { settle(); resolve() },
        reject: (error: Error) => { settle(); reject(error) },
      }
      this.#roomWaiters.push(waiter)
      signal?.addEventListener('abort', abort, { once: true })
    })
  }

  cork(): void {
    this.#duplex.cork()
  }

  uncork(): void {
    this.#duplex.uncork()
  }

  receive(receiver: (bytes: Uint8Array) => void): void {
    assert(!this.#isReceiving, 'a lane has one receiver')
    this.#isReceiving = true
    this.#connection.deliver(receiver)
  }

  pause(): void {
    this.#connection.pause()
  }

  resume(): void {
    this.#connection.resume()
  }

  async end(): Promise<void> {
    if (this.#isClosed) return
    this.#duplex.end()
    // Only a reader sees the peer's end of stream: without a receiver, reading waits for nothing else.
    if (!this.#isReceiving) this.receive(() => {})
    this.resume()
    let progress = this.#duplex.writableLength + this.receivedBytes
    const watch = this.#clock.every(END_STALL_MS, () => {
      const next = this.#duplex.writableLength + this.receivedBytes
      if (next === progress) {
        this.#duplex.destroy(new PagemeshError('lane-stalled', 'The peer stopped reading before a lane was empty.', {
          fault: 'network', phase: 'ending a lane',
          advice: 'Check the network between the hosts and the load of the other host.',
        }))
      }
      progress = next
    })
    const error = await this.closed
    watch.cancel()
    if (error !== undefined) throw error
  }

  destroy(): void {
    this.#duplex.destroy()
  }

  readonly #wakeWaiters = (): void => {
    if (this.#roomWaiters.length === 0 || !this.#hasRoom()) return
    for (const waiter of this.#roomWaiters) waiter.resolve()
  }

  #isOver(): boolean {
    return this.#duplex.writableEnded || this.#duplex.destroyed
  }

  #hasRoom(): boolean {
    return this.#duplex.writableLength < LANE_QUEUE_BYTES_MAX
  }

  #closedError(): Error {
    return new PagemeshError('lane-closed', 'The bulk lane to the other host is closed.', {
      fault: 'network', cause: this.#error, advice: 'Check the network between the hosts, then try again.',
    })
  }
}
