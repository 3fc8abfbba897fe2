import { PrefixTable } from '../page/index.ts'
import type { Clock } from '../runtime/clock.ts'
import { LIMITS } from './limits.ts'

type Generation = Map<string, PrefixTable>

/**
 * Which hosts proved that they hold which pages, by peer id. A proof is valid for one to two intervals, less if there
 * are very many: guests' memory changes, and proofs become outdated.
 */
export class ProvenPages {
  readonly #clock: Clock
  readonly #intervalMs: number
  readonly #pagesMax: number
  #current: Generation = new Map()
  #previous: Generation = new Map()
  #count = 0
  #turnedAt: number

  constructor(components: { clock: Clock }, init: { intervalMs: number; pagesMax?: number }) {
    this.#clock = components.clock
    this.#intervalMs = init.intervalMs
    this.#pagesMax = init.pagesMax ?? LIMITS.provenPages
    this.#turnedAt = components.clock.now()
  }

  /** Drops outdated proofs. */
  age(): void {
    const now = this.#clock.now()
    if (now - this.#turnedAt < this.#intervalMs) return
    // Everything is outdated after two intervals.
    if (now - this.#turnedAt >= 2 * this.#intervalMs) this.#current = new Map()
    this.#turn()
  }

  add(peerId: string, high: number, low: number): void {
    if (this.#count >= this.#pagesMax) this.#turn()
    let table = this.#current.get(peerId)
    if (table === undefined) {
      table = new PrefixTable()
      this.#current.set(peerId, table)
    }
    if (table.add(high, low, 0)) this.#count += 1
  }

  has(peerId: string, high: number, low: number): boolean {
    return hasIn(this.#current, peerId, high, low) || hasIn(this.#previous, peerId, high, low)
  }

  /** How many hosts proved that they hold a page; counts up to `countMax`. */
  hostsOf(high: number, low: number, countMax: number): number {
    let hosts = 0
    for (const [peerId, table] of this.#current) {
      if (hosts >= countMax) return hosts
      if (table.get(high, low) >= 0 || hasIn(this.#previous, peerId, high, low)) hosts += 1
    }
    for (const [peerId, table] of this.#previous) {
      if (hosts >= countMax) return hosts
      if (!this.#current.has(peerId) && table.get(high, low) >= 0) hosts += 1
    }
    return hosts
  }

  /** Forgets a host. */
  forget(peerId: string): void {
    this.#count -= this.#current.get(peerId)?.size ?? 0
    this.#current.delete(peerId)
    this.#previous.delete(peerId)
  }

  #turn(): void {
    this.#previous = this.#current
    this.#current = new Map()
    this.#count = 0
    this.#turnedAt = this.#clock.now()
  }
}

function hasIn(generation: Generation, peerId: string, high: number, low: number): boolean {
  return (generation.get(peerId)?.get(high, low) ?? -1) >= 0
}
