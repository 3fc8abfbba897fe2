import { createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import { createServer as createTlsServer, type Server as TlsServer, type TLSSocket } from 'node:tls'

import { toString } from 'uint8arrays/to-string'

import type { Clock } from '../runtime/clock.ts'
import { PagemeshError, systemErrorCode } from '../runtime/errors.ts'
import { formatHostPort } from '../runtime/hostport.ts'
import type { Log } from '../runtime/log.ts'
import type { Random } from '../runtime/random.ts'
import { Arrivals, type Unproven } from './arrivals.ts'
import { DuplexLane } from './duplexlane.ts'
import type { Lane, LaneTicket } from './lane.ts'
import { parseLaneAddress } from './laneaddress.ts'
import { lanesExhausted, LaneTickets } from './lanetickets.ts'
import { LANE_KEEP_ALIVE_MS, LANE_TLS_OPTIONS } from './lanetls.ts'

/** Lanes at once; when there are as many, tickets are refused. */
const LANES_MAX = 512
/** A socket that has not redeemed a ticket by then is closed. */
const HANDSHAKE_TIMEOUT_MS = 5_000
/** Sockets that have not redeemed a ticket. Each costs a few kilobytes; to drop one so that it comes again, more. */
const UNPROVEN_SOCKETS_MAX = { roomMax: 2_048, addressMax: 1_280 }
/** Connections that wait to be accepted by this process, if the kernel allows as many (net.core.somaxconn). */
const BACKLOG_MAX = 4_096

interface LaneServerInit {
  /** Whether members are met at this address. */
  isKnown: (host: string) => boolean
  /** Called for each connection that is dropped because it redeemed no ticket. */
  stranger: (host: string, reason: string) => void
  /** For tests; 5 s if left out. */
  handshakeTimeoutMs?: number
  /** For tests; 512 if left out. */
  lanesMax?: number
}

interface Connected {
  socket: Socket
  unproven: Unproven
}

/** The lane port of a host: gives out tickets and turns whoever redeems one into a lane. Starts and stops once. */
export class LaneServer {
  readonly #clock: Clock
  readonly #log: Log
  readonly #lanesMax: number
  readonly #tickets: LaneTickets
  readonly #server: Server
  /** Does not listen: a socket that says nothing shall not cost a TLS session. */
  readonly #tls: TlsServer
  readonly #arrivals: Arrivals
  /** Every connected socket below its TLS, by its remote end. */
  readonly #sockets = new Map<string, Connected>()
  readonly #redeemed = new WeakMap<TLSSocket, (lane: Lane | Error) => void>()
  #laneCount = 0
  #address = ''

  constructor(components: { clock: Clock; log: Log; random: Random }, init: LaneServerInit) {
    this.#clock = components.clock
    this.#log = components.log
    this.#lanesMax = init.lanesMax ?? LANES_MAX
    this.#tickets = new LaneTickets(components)
    const limitMs = init.handshakeTimeoutMs ?? HANDSHAKE_TIMEOUT_MS
    this.#arrivals = new Arrivals(components, {
      limits: { ...UNPROVEN_SOCKETS_MAX, limitMs }, isKnown: init.isKnown, stranger: init.stranger,
    })
    this.#server = createServer((socket) => this.#hold(socket))
    this.#tls = createTlsServer({
      ...LANE_TLS_OPTIONS, handshakeTimeout: limitMs, pskCallback: (socket, id) => this.#redeem(socket, id),
    })
    this.#tls.on('secureConnection', (socket) => this.#accept(socket))
    this.#tls.on('tlsClientError', (error, socket) => {
      // A peer that hung up is no stranger.
      if (systemErrorCode(error) !== 'ECONNRESET') this.#connected(socket)?.unproven.fail(error.message)
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
      this.#server.listen({ host, port, backlog: BACKLOG_MAX }, () => {
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
    if (this.#laneCount >= this.#lanesMax) throw lanesExhausted(`${this.#lanesMax} bulk lanes are open already.`)
    const { id, key, lane } = this.#tickets.offer(signal)
    return { ticket: { address: this.#address, id, key: toString(key, 'hex') }, lane }
  }

  /** Stops listening and closes every lane that was accepted. */
  async close(): Promise<void> {
    this.#tickets.close()
    this.#arrivals.stop()
    for (const { socket } of this.#sockets.values()) socket.destroy()
    if (!this.#server.listening) return
    await new Promise<void>((resolve) => this.#server.close(() => resolve()))
  }

  #hold(socket: Socket): void {
    const remote = remoteOf(socket)
    // The peer has hung up before it was looked at.
    if (remote === undefined) return void socket.destroy()
    const unproven = this.#arrivals.arrived({ host: socket.remoteAddress!, drop: () => socket.destroy() })
    this.#sockets.set(remote, { socket, unproven })
    // A socket that breaks is closed next, and that is heard.
    socket.on('error', () => {})
    socket.once('close', () => {
      this.#sockets.delete(remote)
      unproven.leave()
    })
    socket.once('readable', () => {
      // Counted here alone: what comes later goes to OpenSSL, which bounds a handshake itself.
      unproven.read(socket.readableLength)
      if (socket.readableLength === 0) socket.destroy()
      if (!socket.destroyed) this.#tls.emit('connection', socket)
    })
  }

  #connected(socket: TLSSocket): Connected | undefined {
    return this.#sockets.get(remoteOf(socket) ?? '')
  }

  #redeem(socket: TLSSocket, id: string): Buffer | null {
    const ticket = this.#tickets.take(id)
    if (ticket === undefined) return null
    this.#connected(socket)?.unproven.spoke()
    this.#redeemed.set(socket, ticket.settle)
    return Buffer.from(ticket.key)
  }

  #accept(socket: TLSSocket): void {
    const settle = this.#redeemed.get(socket)
    const connected = this.#connected(socket)
    if (settle === undefined || connected === undefined) {
      socket.destroy()
      return
    }
    connected.unproven.leave()
    this.#laneCount += 1
    socket.once('close', () => { this.#laneCount -= 1 })
    const { socket: socketBelow } = connected
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
