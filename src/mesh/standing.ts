import type { Clock } from '../runtime/clock.ts'

/** Faults are forgotten by half in this time, ms. */
const HALF_LIFE_MS = 600_000
/** From this score on a member is not listened to: it comes back after some 20 minutes without a fault. */
const DISTRUST_SCORE = 4
/** Members remembered; those of the least score go first. */
const MEMBERS_MAX = 1024

/**
 * What this host thinks of other members, by peer id: each fault costs standing, time heals. Who has lost it is not
 * heard in what needs trust (reports, gossip, pages); a handoff verifies everything and needs none.
 */
export class Standing {
  readonly #clock: Clock
  readonly #scores = new Map<string, { score: number; at: number }>()

  constructor(components: { clock: Clock }) {
    this.#clock = components.clock
  }

  /** Notes a fault. `weight` 1 is one that honest hosts do not commit; less is one that may be bad luck. */
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
