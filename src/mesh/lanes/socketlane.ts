import type { Socket } from 'node:net'

import { giveAway } from '../../page/index.ts'
import type { Clock } from '../../runtime/clock.ts'
import { deferred } from '../../runtime/wait.ts'
import type { HandedLane, Lane, LanePass, LaneTaker, UnsecuredLane } from './lane.ts'
import { secureLane } from './securelane.ts'

/** A connection that becomes a lane, here or in another thread; its close is reported in either case. */
export class SocketLane implements UnsecuredLane {
  readonly #clock: Clock
  readonly #socket: Socket
  readonly #pass: LanePass
  readonly #securing = deferred<void>()
  readonly #closing = deferred<void>()
  #taker: LaneTaker | undefined

  /** Resolves once the other end has proved that it has the ticket; rejects if it has not. */
  readonly secured = this.#securing.promise
  /** Never rejects. */
  readonly closed = this.#closing.promise

  constructor(components: { clock: Clock }, socket: Socket, pass: LanePass) {
    this.#clock = components.clock
    this.#socket = socket
    this.#pass = pass
    // Callers need not wait for it.
    this.secured.catch(() => {})
    socket.once('close', () => {
      if (this.#taker === undefined) this.#closing.resolve()
    })
  }

  async secure(signal: AbortSignal): Promise<Lane> {
    try {
      const lane = await secureLane({ clock: this.#clock }, { socket: this.#socket }, this.#pass, signal)
      this.#securing.resolve()
      return lane
    } catch (error) {
      this.#securing.reject(error)
      throw error
    }
  }

  handOver(taker: LaneTaker): HandedLane | undefined {
    const { bytesWritten: sentBytes, bytesRead: receivedBytes } = this.#socket
    const handed = giveAway(this.#socket)
    if (handed === undefined) return undefined
    this.#taker = taker
    taker.secured.then(() => this.#securing.resolve(), (error: unknown) => this.#securing.reject(error))
    // It never rejects.
    void taker.closed.then(() => this.#closing.resolve())
    return { ...handed, ...this.#pass, key: Uint8Array.from(this.#pass.key), sentBytes, receivedBytes }
  }

  destroy(): void {
    const owner = this.#taker ?? this.#socket
    owner.destroy()
  }
}
