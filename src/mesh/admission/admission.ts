import { isIPv6 } from 'node:net'

export interface AdmissionLimits {
  /** Connections in each room: one for known addresses, one for strangers. */
  roomMax: number
  /** Connections of one address; with more, the oldest of that address is dropped. */
  addressMax: number
  /** How long a connection may take to prove the cluster key, ms. */
  limitMs: number
}

interface Waiting {
  room: Map<string, Address>
  address: Address
  arrivedAt: number
}

/** The connections of one address, the oldest first. */
interface Address {
  key: string
  silent: Set<unknown>
  spoken: Set<unknown>
}

/**
 * Decides which unproven connections may stay. It closes none itself and reads no clock.
 *
 * Members known by their address have a room of their own, which strangers cannot fill. In each room the newcomer
 * always gets a place. When a room is full, one connection is dropped of the address that has the most: the oldest that
 * has sent nothing, or else the oldest. So a connection that sends at once outlives any number of idle ones, even of
 * its own address, and an address with one connection outlives a crowd behind another address.
 */
export class Admission<Connection> {
  readonly #limits: AdmissionLimits
  readonly #rooms = { known: new Map<string, Address>(), unknown: new Map<string, Address>() }
  readonly #roomSizes = new Map<Map<string, Address>, number>()
  /** In the order of their arrival. */
  readonly #waiting = new Map<Connection, Waiting>()

  constructor(limits: AdmissionLimits) {
    this.#limits = limits
  }

  get size(): number {
    return this.#waiting.size
  }

  /** Admits a connection, and returns the one to drop for it. */
  arrive(connection: Connection, from: { host: string; isKnown: boolean }, now: number): Connection | undefined {
    const room = from.isKnown ? this.#rooms.known : this.#rooms.unknown
    const key = addressKey(from.host)
    const own = room.get(key) ?? { key, silent: new Set(), spoken: new Set() }
    const victim = this.#victim(room, own)
    if (victim !== undefined) this.leave(victim)
    own.silent.add(connection)
    room.set(key, own)
    this.#roomSizes.set(room, this.#roomSize(room) + 1)
    this.#waiting.set(connection, { room, address: own, arrivedAt: now })
    return victim
  }

  /** The connection has sent something: silent ones are dropped before it. */
  speak(connection: Connection): void {
    const address = this.#waiting.get(connection)?.address
    if (address?.silent.delete(connection) === true) address.spoken.add(connection)
  }

  /** The connection is closed or proved. False if it had left before. */
  leave(connection: Connection): boolean {
    const waiting = this.#waiting.get(connection)
    if (waiting === undefined) return false
    const { room, address } = waiting
    this.#waiting.delete(connection)
    address.silent.delete(connection)
    address.spoken.delete(connection)
    if (sizeOf(address) === 0) room.delete(address.key)
    this.#roomSizes.set(room, this.#roomSize(room) - 1)
    return true
  }

  /** Connections that have taken too long by `now`, the oldest first, at most `countMax`. */
  overdue(now: number, countMax: number): Connection[] {
    const found: Connection[] = []
    for (const [connection, { arrivedAt }] of this.#waiting) {
      if (arrivedAt + this.#limits.limitMs > now || found.length >= countMax) break
      found.push(connection)
    }
    return found
  }

  /** When the oldest will be overdue; undefined if there is none. */
  get overdueAt(): number | undefined {
    for (const { arrivedAt } of this.#waiting.values()) return arrivedAt + this.#limits.limitMs
    return undefined
  }

  #victim(room: Map<string, Address>, own: Address): Connection | undefined {
    if (sizeOf(own) >= this.#limits.addressMax) return oldestOf(own) as Connection
    if (this.#roomSize(room) < this.#limits.roomMax) return undefined
    let worst = own
    for (const address of room.values()) if (isWorse(address, worst)) worst = address
    return oldestOf(worst) as Connection | undefined
  }

  #roomSize(room: Map<string, Address>): number {
    return this.#roomSizes.get(room) ?? 0
  }
}

/** What counts as one address: an IPv6 host owns the 64 bits behind its network prefix, and can change them at will. */
export function addressKey(host: string): string {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(host)?.[1]
  const plain = host.split('%', 1)[0]!
  if (mapped !== undefined || !isIPv6(plain)) return mapped ?? host
  const [head = '', tail] = plain.toLowerCase().split('::')
  const groupsOf = (text: string): string[] => (text === '' ? [] : text.split(':'))
  const before = groupsOf(head)
  const after = groupsOf(tail ?? '')
  const zeros: string[] = Array.from({ length: Math.max(0, 8 - before.length - after.length) }, () => '0')
  const groups = [...before, ...zeros, ...after].map((group) => group.replace(/^0+(?=.)/, ''))
  return `${groups.slice(0, 4).join(':')}::/64`
}

function sizeOf({ silent, spoken }: Address): number {
  return silent.size + spoken.size
}

function isWorse(one: Address, other: Address): boolean {
  const difference = sizeOf(one) - sizeOf(other)
  return difference > 0 || (difference === 0 && one.silent.size > 0 && other.silent.size === 0)
}

function oldestOf({ silent, spoken }: Address): unknown {
  for (const connection of silent) return connection
  for (const connection of spoken) return connection
  return undefined
}
