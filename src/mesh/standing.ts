import type { Clock } from '../runtime/clock.ts'

/** Half-life of a member's faults, ms. */
const HALF_LIFE_MS = 600_000
/** From this score on a member is not trusted; without further faults it is trusted again after some 20 minutes. */
const DISTRUST_SCORE = 4
/** Members remembered; those with the least score are dropped first. */
const MEMBERS_MAX = 1024

/**
 * This host's trust in other members, by peer id: each fault adds to a score, which decays with time. A distrusted
 * member's reports, gossip and pages are ignored; a handoff verifies everything and needs no trust.
 */
export class Standing {
  readonly #clock: Clock
  readonly #scores = new Map<string, { score: number; at: number }>()

  constructor(components: { clock: Clock }) {
    this.#clock = components.clock
  }

  /** Notes a fault. `weight` 1: honest hosts never commit it; less: it may be bad luck. */
  fault(peerId: string, weight: number): void {
    const score = this.#scoreOf(peerId) + weight
    if (!this.#scores.has(peerId) && this.#scores.size >= MEMBERS_MAX) this.#forgetBest()
    this.#scores.set(peerId, { score, at: this.#clock.now() })
  }

  isTrusted(peerId: string): boolean {
    return this.#scoreOf(peerId) < DISTRUST_SCORE
  }

  #scoreOf(peerId: string): number {
    const known = this.#scores.get(peerId)
    return known === undefined ? 0 : known.score * 0.5 ** ((this.#clock.now() - known.at) / HALF_LIFE_MS)
  }

  #forgetBest(): void {
    const [best] = [...this.#scores.keys()].sort((a, b) => this.#scoreOf(a) - this.#scoreOf(b))
    if (best !== undefined) this.#scores.delete(best)
  }
}
