import { toString } from 'uint8arrays/to-string'

import type { Clock, Timer } from '../../runtime/clock.ts'
import { PagemeshError } from '../../runtime/errors.ts'
import type { Random } from '../../runtime/random.ts'
import { meshStopped } from '../mesherrors.ts'
import type { UnsecuredLane } from './lane.ts'

/** A ticket expires after this time. */
export const TICKET_VALID_MS = 30_000
/** Open tickets; a host that hands over many guests opens a few per guest. When full, offers are refused. */
export const TICKETS_MAX = 256
const ID_BYTES = 16
const KEY_BYTES = 32

export interface Offer {
  /** 16 bytes as hex. */
  id: string
  /** 32 bytes. */
  key: Uint8Array
  lane: Promise<UnsecuredLane>
}

interface OpenTicket {
  key: Uint8Array
  settle: (outcome: UnsecuredLane | Error) => void
}

/** The tickets that this host issued and nobody has redeemed yet. Each is valid once. */
export class LaneTickets {
  readonly #clock: Clock
  readonly #random: Random
  readonly #open = new Map<string, OpenTicket>()

  constructor(components: { clock: Clock; random: Random }) {
    this.#clock = components.clock
    this.#random = components.random
  }

  /** Throws PagemeshError `lanes-exhausted`; the lane's promise rejects with `lane-expired` or the signal's reason. */
  offer(signal: AbortSignal): Offer {
    if (this.#open.size >= TICKETS_MAX) {
      throw lanesExhausted(`${TICKETS_MAX} bulk lanes already wait for their peers.`)
    }
    const id = toString(this.#random.bytes(ID_BYTES), 'hex')
    const key = this.#random.bytes(KEY_BYTES)
    const { promise, resolve, reject } = Promise.withResolvers<UnsecuredLane>()
    // The caller may have given up and not look at it any more.
    promise.catch(() => {})
    let expiry: Timer | undefined
    const abort = (): void => settle(asError(signal.reason))
    const settle = (outcome: UnsecuredLane | Error): void => {
      this.#open.delete(id)
      expiry?.cancel()
      signal.removeEventListener('abort', abort)
      if (outcome instanceof Error) reject(outcome)
      else resolve(outcome)
    }
    if (signal.aborted) {
      reject(asError(signal.reason))
      return { id, key, lane: promise }
    }
    this.#open.set(id, { key, settle })
    expiry = this.#clock.after(TICKET_VALID_MS, () => settle(expired()))
    signal.addEventListener('abort', abort, { once: true })
    return { id, key, lane: promise }
  }

  /** Redeems a ticket: it is gone then. Undefined if there is none of that id (any more). */
  take(id: string): OpenTicket | undefined {
    const ticket = this.#open.get(id)
    this.#open.delete(id)
    return ticket
  }

  close(): void {
    for (const ticket of [...this.#open.values()]) ticket.settle(meshStopped())
  }
}

export function lanesExhausted(message: string): PagemeshError {
  return new PagemeshError('lanes-exhausted', message, { fault: 'host', advice: 'Hand over fewer guests at a time.' })
}

function asError(reason: unknown): Error {
  return reason instanceof Error ? reason : new Error(String(reason))
}

function expired(): PagemeshError {
  const seconds = TICKET_VALID_MS / 1000
  return new PagemeshError('lane-expired', `The other host did not open its bulk lane within ${seconds} s.`, {
    fault: 'network', phase: 'opening a lane',
    advice: 'Check that it can reach the `lane` address of this host, through any firewall between them.',
  })
}
