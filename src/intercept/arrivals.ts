import type { Socket } from 'node:net'

import { createSocketEndpoint, otherEndOf, type OtherEnd } from '../guest/index.ts'
import { descriptorOf, originalDestination } from '../page/index.ts'
import type { Clock } from '../runtime/clock.ts'
import type { Endpoint } from '../net/endpoint.ts'
import { describeError } from '../runtime/errors.ts'
import { formatHostPort, parseHostPort, type HostPort } from '../net/hostport.ts'
import type { Log } from '../runtime/log.ts'
import { withTimeout } from '../runtime/wait.ts'
import { plainAddress } from '../net/addresses.ts'
import { DirectDials } from './direct.ts'
import { splice } from './splice.ts'

/** A connection that a manager, or anybody else on this host, made to a port of a member. */
export interface InterceptedConnection {
  endpoint: Endpoint
  /** The member's name. */
  host: string
  /** What to dial there: the address and port that were meant. */
  address: HostPort
  /** Whose it is. */
  otherEnd: Promise<OtherEnd>
}

/**
 * Carries a connection to its member. Resolves once it has been dialed there, and not before: the next one to that
 * address waits. To nothing if it is taken care of, whatever becomes of it; else to the connection, with every byte
 * still to come that came of it, and then it goes direct.
 */
export type Carry = (connection: InterceptedConnection, signal: AbortSignal) => Promise<Endpoint | undefined>

export interface ArrivalCounts {
  /** Connections that a relay took to a member. */
  carried: number
  /** Those that this host connected past the mesh, as if there were no agent. */
  direct: number
  /** Those that were closed: nobody could say where they were meant to go, or they were too many, or could not go. */
  refused: number
}

/** Connections that are open at once. */
const OPEN_MAX = 1024
const CARRY_MS_MAX = 30_000

interface Components {
  clock: Clock
  log: Log
  carry: Carry
}

interface ArrivalsInit {
  /** The member whose address it is and who is to get what is meant for it; undefined: the connection goes direct. */
  memberAt: (address: string) => string | undefined
  /** A member did not take a connection that it should have taken. */
  onRefused: (host: string) => void
  /** There was none and there is one, or the other way round. */
  onOpenChange: () => void
}

/** Intercepted connections, each on its way. Those to one address take their turns, in the order of their arrival. */
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

  /** Takes a connection over that was led to a listener. */
  accept(socket: Socket): void {
    // It may break before it is anybody's; then there is nothing to carry.
    socket.on('error', () => {})
    const address = destinationOf(socket)
    if (address === undefined || this.#open.size >= OPEN_MAX || this.#stopping.signal.aborted) {
      this.counts.refused++
      socket.resetAndDestroy()
      return
    }
    // It looks before it lets anything else happen: afterwards the socket is nobody's.
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
    // Who waited for a turn may have given up.
    if (!this.#open.has(connection.endpoint)) return
    const host = this.#init.memberAt(connection.address.host)
    try {
      const left = host === undefined ? connection.endpoint : await this.#carry({ ...connection, host })
      if (left === undefined) this.counts.carried++
      else await this.#sendDirect(left, connection.address, host)
    } catch (error) {
      this.counts.refused++
      connection.endpoint.destroy()
      // Every user of this host can make as many of these as he likes.
      const address = formatHostPort(connection.address)
      this.#components.log.debug('an intercepted connection was closed', { address, reason: describeError(error) })
    }
  }

  async #sendDirect(endpoint: Endpoint, address: HostPort, host: string | undefined): Promise<void> {
    const direct = await this.#dials.connect(address, this.#stopping.signal)
    // Only now it is known that the member's agent was at fault, and not what it was asked for.
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
      // What was sent of it is not known: it cannot go another way, but the next one can.
      this.#init.onRefused(connection.host)
      throw error
    }
  }
}

/** Where a connection was meant to go; undefined for one that came to the listener by itself. */
function destinationOf(socket: Socket): HostPort | undefined {
  const fd = descriptorOf(socket)
  const said = parseHostPort((fd === undefined ? undefined : originalDestination(fd)) ?? '')
  const host = plainAddress(said?.host ?? '')
  if (said === undefined || host === undefined) return undefined
  return host === socket.localAddress && said.port === socket.localPort ? undefined : { host, port: said.port }
}
