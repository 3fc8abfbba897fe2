import type { Clock } from '../../runtime/clock.ts'
import { PagemeshError } from '../../runtime/errors.ts'
import type { Log } from '../../runtime/log.ts'

export const PIN_LIMITS = {
  /** Pinned names. Further hosts are let in without a pin, and that is logged: no pin is ever dropped. */
  pins: 4096,
  /** Names of one identity; with more, the name not used for longest loses its pin. */
  namesPerPeer: 4,
  /** Identities that claim others' names; the one that claimed longest ago is dropped first. */
  claims: 256,
} as const
/** A claim that continues is logged again after this time. */
const LOG_EVERY_MS = 60_000

export interface NamePin {
  name: string
  peerId: string
  /** When the name was pinned, ms since the Unix epoch. */
  since: number
}

/** An identity that claimed a name pinned to another. */
export interface NameClaim {
  name: string
  peerId: string
  count: number
  /** When it last did so, ms since the Unix epoch. */
  last: number
}

/**
 * Which identity each host name belongs to: the first that proved the cluster key under it, until an operator accepts
 * another. So a member cannot take the name of a host that is down.
 */
export class NamePins {
  readonly #clock: Clock
  readonly #log: Log
  readonly #pins = new Map<string, NamePin>()
  readonly #claims = new Map<string, NameClaim & { loggedAt: number }>()
  /** Called after each change of the pins. */
  onChange: () => void = () => {}
  /** Called for each refused claim. */
  onClaim: (claim: { name: string; peerId: string }) => void = () => {}
  #claimCount = 0
  #isFullLogged = false

  constructor(components: { clock: Clock; log: Log }) {
    this.#clock = components.clock
    this.#log = components.log
  }

  /** Refused claims since start. */
  get claimCount(): number {
    return this.#claimCount
  }

  /** Loads the pins that an earlier agent saved. */
  load(pins: readonly NamePin[]): void {
    for (const pin of pins.slice(0, PIN_LIMITS.pins)) this.#pins.set(pin.name, { ...pin })
  }

  pins(): NamePin[] {
    return [...this.#pins.values()].map((pin) => ({ ...pin }))
  }

  /** Claims without a decision, the latest last. */
  claims(): NameClaim[] {
    return [...this.#claims.values()].map(({ name, peerId, count, last }) => ({ name, peerId, count, last }))
  }

  /** The identity that a name is pinned to. */
  holderOf(name: string): string | undefined {
    return this.#pins.get(name)?.peerId
  }

  /** A name that is pinned to an identity. */
  nameOf(peerId: string): string | undefined {
    for (const pin of this.#pins.values()) if (pin.peerId === peerId) return pin.name
    return undefined
  }

  /** Pins a name to the identity that proved the key under it, if it is not pinned yet. */
  trust(name: string, peerId: string): void {
    if (this.#pins.has(name)) return
    if (this.#pins.size >= PIN_LIMITS.pins) {
      if (!this.#isFullLogged) this.#log.error('a name is not pinned: too many are', { name, pinsMax: PIN_LIMITS.pins })
      this.#isFullLogged = true
      return
    }
    this.#set(name, peerId)
    const own = this.pins().filter((pin) => pin.peerId === peerId)
    for (const { name: old } of own.slice(0, -PIN_LIMITS.namesPerPeer)) this.#pins.delete(old)
    this.onChange()
  }

  /** This host's own name is its own, whatever was pinned: the holder of the identity's key has the name. */
  own(name: string, peerId: string): void {
    const before = this.holderOf(name)
    if (before === peerId) return
    if (before !== undefined) {
      this.#log.warn('this host has another identity than before: others must accept it', { name, before, peerId })
    }
    this.#set(name, peerId)
    this.onChange()
  }

  /** Notes that an identity claimed another's name and was refused. */
  refuse(name: string, peerId: string): void {
    const key = `${name} ${peerId}`
    const known = this.#claims.get(key)
    const now = this.#clock.wallTime()
    const isNews = known === undefined || now - known.loggedAt >= LOG_EVERY_MS
    this.#claimCount += 1
    this.#claims.delete(key)
    const count = (known?.count ?? 0) + 1
    this.#claims.set(key, { name, peerId, count, last: now, loggedAt: isNews ? now : known.loggedAt })
    const [oldest] = this.#claims.keys()
    if (this.#claims.size > PIN_LIMITS.claims && oldest !== undefined) this.#claims.delete(oldest)
    if (isNews) {
      this.#log.error('a host was refused: its name belongs to another identity', {
        name, peerId, pinnedTo: this.holderOf(name) ?? null, advice: `pagemesh peers accept ${name}`,
      })
    }
    this.onClaim({ name, peerId })
  }

  /**
   * Pins a name to the identity that claims it, or to the one given: an operator confirms it. Returns it and the
   * identity pinned before. Throws PagemeshError `no-claim` or `several-claims`.
   */
  accept(name: string, named?: string): { peerId: string; before: string | undefined } {
    const claims = this.claims().filter((claim) => claim.name === name).map(({ peerId }) => peerId)
    const [claim] = claims
    if (named === undefined && claims.length > 1) throw severalClaims(name, claims)
    const peerId = named ?? claim
    if (peerId === undefined) throw noClaim(name)
    const before = this.holderOf(name)
    this.#set(name, peerId)
    for (const other of claims) this.#claims.delete(`${name} ${other}`)
    this.#log.warn('an operator accepted another identity for a name', { name, peerId, before: before ?? null })
    this.onChange()
    return { peerId, before }
  }

  #set(name: string, peerId: string): void {
    this.#pins.delete(name)
    this.#pins.set(name, { name, peerId, since: this.#clock.wallTime() })
  }
}

function severalClaims(name: string, claims: string[]): PagemeshError {
  return new PagemeshError('several-claims', `${claims.length} identities claim the name ${name}.`, {
    fault: 'usage', data: { name, claims },
    advice: 'Read on that host which one is its own (`pagemesh status --json`), and pass it as --peer-id: ' +
      `${claims.join(', ')}.`,
  })
}

function noClaim(name: string): PagemeshError {
  return new PagemeshError('no-claim', `No other identity claims the name ${name}.`, {
    fault: 'usage', data: { name },
    advice: 'Start the host that has a new identity, so that it shows up here, then run this again.',
  })
}
