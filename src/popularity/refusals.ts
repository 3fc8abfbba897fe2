import type { Member, Standing } from '../mesh/index.ts'

/** Counts what is refused from other members, by reason, and charges it to their standing. */
export class Refusals {
  readonly counts: Record<string, number> = {}
  readonly #standing: Standing

  constructor(components: { standing: Standing }) {
    this.#standing = components.standing
  }

  /** @param weight 1 for what no honest host sends, less for what bad luck can cause, 0 for what often happens. */
  refuse(reason: string, from: Pick<Member, 'peerId'>, weight: number): void {
    this.counts[reason] = (this.counts[reason] ?? 0) + 1
    if (weight > 0) this.#standing.fault(from.peerId, weight)
  }

  isTrusted(from: Pick<Member, 'peerId'>): boolean {
    return this.#standing.isTrusted(from.peerId)
  }
}
