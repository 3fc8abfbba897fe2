import type { Socket } from 'node:net'
import type { TLSSocket } from 'node:tls'

import type { Clock } from '../../runtime/clock.ts'
import { Throttle } from '../../runtime/throttle.ts'
import type { Unproven } from '../admission/arrivals.ts'
import { acceptPreshared } from '../lanes/presharedtls.ts'
import { decodeHello, encodeRefusal, encodeWelcome, readLine } from './exchange.ts'
import type { Invitations } from './invitations.ts'

/** Connections that may try a known invitation: at once, and a minute. Guessing is hopeless; this bounds the work. */
const TRIES = { burst: 20, aMinute: 20 }
/** How long a newcomer may take after TLS, ms. */
const EXCHANGE_MS_MAX = 5_000

/** A connection to the lane port that named an invitation. */
export interface Newcomer {
  id: string
  /** The address that it comes from. */
  from: string
  unproven: Unproven
}

interface NewcomersInit {
  /** This host's name, and its port for the mesh. */
  self: () => { host: string; meshPort: number }
  /** Whether a host of this name is in the mesh now. */
  isHere: (name: string) => boolean
}

/** What a lane port does with newcomers: without invitations, nothing. */
export function newcomerTaker(
  { clock, invitations }: { clock: Clock; invitations: Invitations | undefined }, init: NewcomersInit,
): { newcomer?: (socket: Socket, newcomer: Newcomer) => void } {
  if (invitations === undefined) return {}
  const newcomers = new Newcomers({ clock, invitations }, init)
  // It never rejects.
  return { newcomer: (socket, newcomer) => void newcomers.take(socket, newcomer) }
}

/** The inviting host's end of `exchange.ts`. */
export class Newcomers {
  readonly #clock: Clock
  readonly #invitations: Invitations
  readonly #init: NewcomersInit
  readonly #tries: Throttle

  constructor(components: { clock: Clock; invitations: Invitations }, init: NewcomersInit) {
    this.#clock = components.clock
    this.#invitations = components.invitations
    this.#init = init
    this.#tries = new Throttle(components, { rate: TRIES.aMinute / 60, burst: TRIES.burst })
  }

  /** Never rejects. Closes the connection, however it ends. */
  async take(socket: Socket, newcomer: Newcomer): Promise<void> {
    const { id, from, unproven } = newcomer
    const secret = this.#invitations.secretOf(id)
    if (secret === undefined) return unproven.fail('it showed no invitation of this host')
    if (!this.#tries.tryTake(1)) {
      this.#invitations.refuse(id, from, 'too-many')
      return unproven.fail('too many tried to join within a minute')
    }
    unproven.spoke()
    let duplex: TLSSocket
    try {
      duplex = await acceptPreshared(socket, { id, key: secret }, withoutErrors)
    } catch {
      // OpenSSL's words tell an operator nothing.
      this.#invitations.refuse(id, from, 'unproven')
      return unproven.fail('it did not prove the token of an invitation')
    }
    unproven.leave()
    const late = this.#clock.after(EXCHANGE_MS_MAX, () => duplex.destroy())
    const closed = new Promise((resolve) => duplex.once('close', resolve))
    duplex.end(await this.#answer(duplex, newcomer))
    await closed
    late.cancel()
  }

  async #answer(duplex: TLSSocket, { id, from }: Newcomer): Promise<string> {
    let name: string
    try {
      name = decodeHello(await readLine(duplex))
    } catch {
      // What a stranger sent is not repeated.
      this.#invitations.refuse(id, from, 'malformed')
      return encodeRefusal('malformed')
    }
    const redeemed = this.#invitations.redeem(id, { name, from }, this.#init.isHere(name))
    return typeof redeemed === 'string'
      ? encodeRefusal(redeemed) : encodeWelcome({ ...redeemed, ...this.#init.self() })
  }
}

function withoutErrors(duplex: TLSSocket): TLSSocket {
  // Its close tells of errors as well.
  return duplex.on('error', () => {})
}
