import type { AddressInfo, Socket } from 'node:net'
import { createServer, type Server, type TLSSocket } from 'node:tls'

import { toString } from 'uint8arrays/to-string'

import type { Clock } from '../runtime/clock.ts'
import { PagemeshError } from '../runtime/errors.ts'
import { formatHostPort } from '../runtime/hostport.ts'
import type { Log } from '../runtime/log.ts'
import type { Random } from '../runtime/random.ts'
import { DuplexLane } from './duplexlane.ts'
import type { Lane, LaneTicket } from './lane.ts'
import { parseLaneAddress } from './laneaddress.ts'
import { LaneTickets } from './lanetickets.ts'
import { LANE_KEEP_ALIVE_MS, LANE_TLS_OPTIONS } from './lanetls.ts'

/** Sockets that may be connected to the lane port at once, redeemed or not; the next one is closed at once. */
const SOCKETS_MAX = 512
/** A socket that has not redeemed a ticket by then is closed. */
const HANDSHAKE_TIMEOUT_MS = 5_000

/** The lane port of a host: gives out tickets and turns whoever redeems one into a lane. Starts and stops once. */
export class LaneServer {
  readonly #clock: Clock
  readonly #log: Log
  readonly #tickets: LaneTickets
  readonly #server: Server
  /** Every connected socket below its TLS, by its remote end. */
  readonly #sockets = new Map<string, Socket>()
  readonly #redeemed = new WeakMap<TLSSocket, (lane: Lane | Error) => void>()
  #address = ''

  /** @param init.handshakeTimeoutMs for tests; 5 s if left out. */
  constructor(components: { clock: Clock; log: Log; random: Random }, init: { handshakeTimeoutMs?: number } = {}) {
    this.#clock = components.clock
    this.#log = components.log
    this.#tickets = new LaneTickets(components)
    this.#server = createServer({
      ...LANE_TLS_OPTIONS, handshakeTimeout: init.handshakeTimeoutMs ?? HANDSHAKE_TIMEOUT_MS,
      pskCallback: (socket, id) => this.#redeem(socket, id),
    })
    this.#server.on('connection', (socket: Socket) => this.#hold(socket))
    this.#server.on('secureConnection', (socket) => this.#accept(socket))
    this.#server.on('tlsClientError', (error, socket) => {
      this.#log.debug('a lane was refused', { reason: error.message })
      this.#redeemed.get(socket)?.(error)
      socket.destroy()
    })
  }

  /** Listens on `host:port`; port 0 takes a free one. Throws PagemeshError `lane-address-unusable`. */
  async listen(address: string): Promise<void> {
    const { host, port } = parseLaneAddress(address)
    await new Promise<void>((resolve, reject) => {
      const fail = (error: Error): void => reject(unusable(address, error))
      this.#server.once('error', fail)
      this.#server.listen({ host, port }, () => {
        this.#server.off('error', fail)
        this.#server.on('error', (error) => this.#log.error('the lane port failed', { reason: error.message }))
        resolve()
      })
    })
    this.#address = formatHostPort({ host, port: (this.#server.address() as AddressInfo).port })
  }

  /** `host:port` as it listens; the host may be unspecified (0.0.0.0), which the dialer then replaces. */
  get address(): string {
    return this.#address
  }

  /**
   * Throws PagemeshError `lanes-exhausted`.
   * The lane rejects with `lane-expired`, `mesh-stopped` or the signal's reason.
   */
  offer(signal: AbortSignal): { ticket: LaneTicket; lane: Promise<Lane> } {
    const { id, key, lane } = this.#tickets.offer(signal)
    return { ticket: { address: this.#address, id, key: toString(key, 'hex') }, lane }
  }

  /** Stops listening and closes every lane that was accepted. */
  async close(): Promise<void> {
    this.#tickets.close()
    for (const socket of this.#sockets.values()) socket.destroy()
    if (!this.#server.listening) return
    await new Promise<void>((resolve) => this.#server.close(() => resolve()))
  }

  #hold(socket: Socket): void {
    const remote = remoteOf(socket)
    if (this.#sockets.size >= SOCKETS_MAX || remote === undefined) {
      this.#log.warn('a lane was refused: too many are connected', { socketsMax: SOCKETS_MAX })
      socket.destroy()
      return
    }
    this.#sockets.set(remote, socket)
    // A socket that breaks is closed next, and that is heard.
    socket.on('error', () => {})
    socket.once('close', () => this.#sockets.delete(remote))
  }

  #redeem(socket: TLSSocket, id: string): Buffer | null {
    const ticket = this.#tickets.take(id)
    if (ticket === undefined) return null
    this.#redeemed.set(socket, ticket.settle)
    return Buffer.from(ticket.key)
  }

  #accept(socket: TLSSocket): void {
    const settle = this.#redeemed.get(socket)
    const socketBelow = this.#sockets.get(remoteOf(socket) ?? '')
    if (settle === undefined || socketBelow === undefined) {
      socket.destroy()
      return
    }
    socket.setNoDelay(true)
    socket.setKeepAlive(true, LANE_KEEP_ALIVE_MS)
    settle(new DuplexLane({ clock: this.#clock }, {
      duplex: socket,
      deliver: (receiver) => { socket.on('data', receiver) },
      pause: () => { socket.pause() },
      resume: () => { socket.resume() },
      // The TLS socket counts what it carries; the one below, what goes over the wire.
      sentBytes: () => socketBelow.bytesWritten,
      receivedBytes: () => socketBelow.bytesRead,
    }))
  }
}

function remoteOf(socket: Socket): string | undefined {
  return socket.remoteAddress === undefined ? undefined : `${socket.remoteAddress} ${socket.remotePort}`
}

function unusable(address: string, cause: Error): PagemeshError {
  return new PagemeshError('lane-address-unusable', `The lane address ${address} cannot be listened on.`, {
    fault: 'usage', phase: 'start', data: { address }, cause,
    advice: 'Check `lane` in the configuration: the address must be this host\'s and the port free.',
  })
}
