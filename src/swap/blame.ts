import type { Member, Standing } from '../mesh/index.ts'
import type { Log } from '../runtime/log.ts'

/** Weights of faults: what bad luck can cause, what no honest host does, and what makes a host distrusted at once. */
export const WEIGHT = { suspicious: 0.25, dishonest: 1, max: 4 } as const

/** Takes standing from a member that did not deliver what it claimed. */
export function blame(
  { standing, log }: { standing: Standing; log: Log }, holder: Member, weight: number, why: string,
): void {
  log.warn('a host did not deliver the pages that it claimed', { host: holder.name, why })
  standing.fault(holder.peerId, Math.min(WEIGHT.max, weight))
}
