import type { Socket } from 'node:net'

import { createSocketEndpoint, otherEndOf, type OtherEnd } from '../guest/index.ts'
import { plainAddress } from '../net/addresses.ts'
import type { Endpoint } from '../net/endpoint.ts'
import { formatHostPort, parseHostPort, type HostPort } from '../net/hostport.ts'
import { descriptorOf, originalDestination } from '../page/index.ts'
import type { Clock } from '../runtime/clock.ts'
import { describeError } from '../runtime/errors.ts'
import type { Log } from '../runtime/log.ts'
import { withTimeout } from '../runtime/wait.ts'
import { DirectDials } from './direct.ts'
import { splice } from './splice.ts'

/** A connection that a manager, or another process of this host, made to a port of a member. */
export interface InterceptedConnection {
  endpoint: Endpoint
  /** The member's name. */
  host: string
  /** The original destination, to be dialled there. */
  address: HostPort
  /** The process that connected. */
  otherEnd: Promise<OtherEnd>
}

/**
 * Carries a connection to its member. Resolves once it has been dialled there; until then the next connection to the
 * same address waits. Resolves to undefined if the connection was relayed, whatever becomes of it; otherwise to the
 * connection with none of its bytes consumed, which then goes direct.
 */
export type Carry = (connection: InterceptedConnection, signal: AbortSignal) => Promise<Endpoint | undefined>

export interface ArrivalCounts {
  /** Connections relayed to their member. */
  carried: number
  /** Connections made direct, as without an agent. */
  direct: number
  /** Connections closed: unknown destination, too many, or not possible. */
  refused: number
}

/** Most connections open at once. */
const OPEN_MAX = 1024
const CARRY_MS_MAX = 30_000

interface Components {
  clock: Clock
  log: Log
  carry: Carry
}

interface ArrivalsInit {
  /** The member with this address, if connections to it are relayed; undefined: they go direct. */
  memberAt: (address: string) => string | undefined
  /** A member refused a connection that it should have accepted. */
  onRefused: (host: string) => void
  /** The first connection was opened, or the last one closed. */
  onOpenChange: () => void
}

/** Intercepted connections. Those to one address are carried one after the other, in the order of their arrival. */
export class Arrivals {
  readonly counts: ArrivalCounts = { carried: 0, direct: 0, refused: 0 }
  readonly #components: Components
  readonly #init: ArrivalsInit
  readonly #dials: DirectDials
  readonly #open = new Set<Endpoint>()
  readonly #turns = new Map<string, Promise<void>>()
  readonly #stopping = new AbortController()

  constructor(components: Components, init: ArrivalsInit) {
    this.#components = components
    this.#init = init
    this.#dials = new DirectDials(components)
  }

  get openCount(): number {
    return this.#open.size
  }

  /** Takes over a connection that arrived at a listener. */
  accept(socket: Socket): void {
    // It may break before an endpoint handles its errors.
    socket.on('error', () => {})
    const address = destinationOf(socket)
    if (address === undefined || this.#open.size >= OPEN_MAX || this.#stopping.signal.aborted) {
      this.counts.refused++
      socket.resetAndDestroy()
      return
    }
    // Called first: it looks synchronously, before the socket is turned into an endpoint.
    const otherEnd = otherEndOf(socket)
    const endpoint = createSocketEndpoint(socket)
    this.#open.add(endpoint)
    if (this.#open.size === 1) this.#init.onOpenChange()
    // It never rejects.
    void endpoint.closed.then(() => {
      this.#open.delete(endpoint)
      if (this.#open.size === 0) this.#init.onOpenChange()
    })
    this.#inTurn(formatHostPort(address), () => this.#send({ endpoint, address, otherEnd }))
  }

  /** Closes all that is open. */
  stop(): void {
    this.#stopping.abort(new Error('the agent stops'))
    for (const endpoint of this.#open) endpoint.destroy()
  }

  /** `run` never rejects. */
  #inTurn(address: string, run: () => Promise<void>): void {
    const turn = (this.#turns.get(address) ?? Promise.resolve()).then(run)
    this.#turns.set(address, turn)
    // It never rejects.
    void turn.then(() => { if (this.#turns.get(address) === turn) this.#turns.delete(address) })
  }

  async #send(connection: Omit<InterceptedConnection, 'host'>): Promise<void> {
    // The connection may have closed while it waited.
    if (!this.#open.has(connection.endpoint)) return
    const host = this.#init.memberAt(connection.address.host)
    try {
      const left = host === undefined ? connection.endpoint : await this.#carry({ ...connection, host })
      if (left === undefined) this.counts.carried++
      else await this.#sendDirect(left, connection.address, host)
    } catch (error) {
      this.counts.refused++
      connection.endpoint.destroy()
      // At debug level: any local user can cause these at will.
      const address = formatHostPort(connection.address)
      this.#components.log.debug('an intercepted connection was closed', { address, reason: describeError(error) })
    }
  }

  async #sendDirect(endpoint: Endpoint, address: HostPort, host: string | undefined): Promise<void> {
    const direct = await this.#dials.connect(address, this.#stopping.signal)
    // The direct connection worked, so the refusal was the fault of the member's agent.
    if (host !== undefined) this.#init.onRefused(host)
    this.counts.direct++
    // It never rejects.
    void splice(endpoint, direct)
  }

  async #carry(connection: InterceptedConnection): Promise<Endpoint | undefined> {
    const { clock, carry } = this.#components
    try {
      return await withTimeout(clock, carry(connection, this.#stopping.signal), CARRY_MS_MAX, {
        phase: 'interception', fault: 'peer', message: 'The member was not reached in time.',
      })
    } catch (error) {
      // Bytes may have been sent, so this connection cannot go direct; the next one can.
      this.#init.onRefused(connection.host)
      throw error
    }
  }
}

/** A connection's original destination; undefined if it was made to the listener itself. */
function destinationOf(socket: Socket): HostPort | undefined {
  const fd = descriptorOf(socket)
  const said = parseHostPort((fd === undefined ? undefined : originalDestination(fd)) ?? '')
  const host = plainAddress(said?.host ?? '')
  if (said === undefined || host === undefined) return undefined
  return host === socket.localAddress && said.port === socket.localPort ? undefined : { host, port: said.port }
}
