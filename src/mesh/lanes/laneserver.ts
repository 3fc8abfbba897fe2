import { createServer, type AddressInfo, type Server, type Socket } from 'node:net'

import { toString } from 'uint8arrays/to-string'

import { formatHostPort } from '../../net/hostport.ts'
import type { Clock } from '../../runtime/clock.ts'
import { PagemeshError, systemErrorCode } from '../../runtime/errors.ts'
import type { Log } from '../../runtime/log.ts'
import type { Random } from '../../runtime/random.ts'
import { Arrivals, type Unproven } from '../admission/arrivals.ts'
import type { Newcomer } from '../invitation/newcomers.ts'
import type { LaneTicket, UnsecuredLane } from './lane.ts'
import { parseLaneAddress } from './laneaddress.ts'
import { decodePreamble, PREAMBLE_BYTES } from './lanepreamble.ts'
import { lanesExhausted, LaneTickets } from './lanetickets.ts'
import { SocketLane } from './socketlane.ts'

/** Open lanes; above it tickets are refused. */
const LANES_MAX = 512
/** A socket that has not redeemed a ticket after this time is closed. */
const HANDSHAKE_TIMEOUT_MS = 5_000
/** Sockets that have not redeemed a ticket. Each costs a few kilobytes; dropping one that reconnects costs more. */
const UNPROVEN_SOCKETS_MAX = { roomMax: 2_048, addressMax: 1_280 }
/** Connections that wait to be accepted by this process, if the kernel allows as many (net.core.somaxconn). */
const BACKLOG_MAX = 4_096

interface LaneServerInit {
  /** Whether members are met at this address. */
  isKnown: (host: string) => boolean
  /** Called for each connection that is dropped because it redeemed no ticket. */
  stranger: (host: string, reason: string) => void
  /** Takes a connection that named an invitation; left out: there are none. It closes the connection. */
  newcomer?: (socket: Socket, newcomer: Newcomer) => void
  /** For tests; 5 s if left out. */
  handshakeTimeoutMs?: number
  /** For tests; 512 if left out. */
  lanesMax?: number
}

/**
 * The lane port of a host: issues tickets, and makes a lane of each connection that redeems one. Starts and stops once.
 */
export class LaneServer {
  readonly #clock: Clock
  readonly #log: Log
  readonly #lanesMax: number
  readonly #newcomer: LaneServerInit['newcomer']
  readonly #tickets: LaneTickets
  readonly #server: Server
  readonly #arrivals: Arrivals
  /** Closes each connection, in whichever thread it is. */
  readonly #connected = new Set<{ close: () => void }>()
  #laneCount = 0
  #address = ''

  constructor(components: { clock: Clock; log: Log; random: Random }, init: LaneServerInit) {
    this.#clock = components.clock
    this.#log = components.log
    this.#lanesMax = init.lanesMax ?? LANES_MAX
    this.#newcomer = init.newcomer
    this.#tickets = new LaneTickets(components)
    const limitMs = init.handshakeTimeoutMs ?? HANDSHAKE_TIMEOUT_MS
    this.#arrivals = new Arrivals(components, {
      limits: { ...UNPROVEN_SOCKETS_MAX, limitMs }, isKnown: init.isKnown, stranger: init.stranger,
    })
    this.#server = createServer((socket) => this.#hold(socket))
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

  /** `host:port` that it listens on; the host may be unspecified (0.0.0.0), which the dialer then replaces. */
  get address(): string {
    return this.#address
  }

  /**
   * The lane is a connection that showed the ticket, before TLS; it counts as unproven until TLS is made. Throws
   * PagemeshError `lanes-exhausted`; the lane rejects with `lane-expired`, `mesh-stopped` or the signal's reason.
   */
  offer(signal: AbortSignal): { ticket: LaneTicket; lane: Promise<UnsecuredLane> } {
    if (this.#laneCount >= this.#lanesMax) throw lanesExhausted(`${this.#lanesMax} bulk lanes are open already.`)
    const { id, key, lane } = this.#tickets.offer(signal)
    return { ticket: { address: this.#address, id, key: toString(key, 'hex') }, lane }
  }

  /** Stops listening and closes every lane that was accepted. */
  async close(): Promise<void> {
    this.#tickets.close()
    this.#arrivals.stop()
    for (const connected of this.#connected) connected.close()
    if (!this.#server.listening) return
    await new Promise<void>((resolve) => this.#server.close(() => resolve()))
  }

  #hold(socket: Socket): void {
    const host = socket.remoteAddress
    // The peer has already hung up.
    if (host === undefined) return void socket.destroy()
    const connected = { close: (): void => { socket.destroy() } }
    const unproven = this.#arrivals.arrived({ host, drop: () => connected.close() })
    this.#connected.add(connected)
    const leave = (): void => {
      this.#connected.delete(connected)
      unproven.leave()
    }
    // A broken socket closes next, and that is handled.
    socket.on('error', () => {})
    socket.once('close', leave)
    readPreamble(socket, unproven, (preamble) => {
      const { use, id = '' } = decodePreamble(preamble) ?? {}
      if (use === 'join' && this.#newcomer !== undefined) return this.#newcomer(socket, { id, from: host, unproven })
      const ticket = use === 'lane' ? this.#tickets.take(id) : undefined
      if (ticket === undefined) return unproven.fail('it showed no ticket of this host')
      unproven.spoke()
      const pass = { role: 'offered', address: host, id, key: ticket.key } as const
      const lane = new SocketLane({ clock: this.#clock }, socket, pass)
      connected.close = () => lane.destroy()
      // From now on it may be closed here and continue in another thread.
      socket.off('close', leave)
      this.#follow(lane, unproven, leave)
      ticket.settle(lane)
    })
  }

  /** A lane counts from its ticket on; its peer is a stranger until TLS proves the ticket's key. */
  #follow(lane: SocketLane, unproven: Unproven, leave: () => void): void {
    this.#laneCount += 1
    lane.secured.then(() => unproven.leave(), (error: unknown) => {
      // A lane that this host gave up is no stranger's, nor is one whose peer hung up.
      if (!(error instanceof PagemeshError) || error.code !== 'lane-unreachable') return
      if (systemErrorCode(error.cause) !== 'ECONNRESET') unproven.fail(String(error.cause))
    })
    // It never rejects.
    void lane.closed.then(() => {
      this.#laneCount -= 1
      leave()
    })
  }
}

/** Passes on the first bytes of a connection once all of them are there. Bytes after them stay unread. */
function readPreamble(socket: Socket, unproven: Unproven, use: (preamble: Buffer) => void): void {
  let countedBytes = 0
  const look = (): void => {
    // Counted only here: later bytes go to OpenSSL, which bounds a handshake itself.
    unproven.read(socket.readableLength - countedBytes)
    countedBytes = socket.readableLength
    if (socket.readableLength === 0) socket.destroy()
    const preamble = socket.destroyed ? null : socket.read(PREAMBLE_BYTES) as Buffer | null
    if (preamble === null) return
    socket.off('readable', look)
    // There are fewer bytes if the peer hung up.
    if (preamble.length < PREAMBLE_BYTES) socket.destroy()
    else use(preamble)
  }
  socket.on('readable', look)
}

function unusable(address: string, cause: Error): PagemeshError {
  return new PagemeshError('lane-address-unusable', `The lane address ${address} cannot be listened on.`, {
    fault: 'usage', phase: 'start', data: { address }, cause,
    advice: 'Check `lane` in the configuration, or `listen` if it is not set: the lane is then at its first address, ' +
      'next port. The address must be this host\'s and the port free.',
  })
}
