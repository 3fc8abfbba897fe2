import type { AgentStatus } from '../../src/index.ts'
import type { Condition } from './scenario.ts'

const MEGABYTE = 1e6

/** Whether an agent with this status fulfils a scenario's condition. Pure. */
export function holds(condition: Condition, status: AgentStatus): boolean {
  switch (condition.is) {
    case 'moving':
      return status.handoffs.some((handoff) => handoff.direction === 'outgoing' && handoff.driver === 'qmp' &&
        handoff.guest === condition.guest && (handoff.phase === 'precopy' || handoff.phase === 'postcopy') &&
        handoff.qemuBytes >= (condition.megabytes ?? 0) * MEGABYTE)
    case 'swapping':
      return status.traffic.swap.receivedBytes >= condition.megabytes * MEGABYTE
    case 'keeping':
      return status.store.pages >= condition.pages
    case 'knowing':
      return status.popularity.pages >= condition.pages
    case 'joined':
      return status.peers.length === condition.peers
  }
}

/** The condition in words, after the name of a host. Pure. */
export function describeCondition(condition: Condition): string {
  switch (condition.is) {
    case 'moving': return `has sent ${condition.megabytes ?? 0} MB of ${condition.guest}`
    case 'swapping': return `has fetched ${condition.megabytes} MB to be kept`
    case 'keeping': return `keeps ${condition.pages} pages`
    case 'knowing': return `knows ${condition.pages} popular pages`
    case 'joined': return `sees ${condition.peers} others`
  }
}

/** The smallest overlap of any two of these sets, as a share of their union; 0 if one is empty. Pure. */
export function agreementOf(views: readonly ReadonlySet<string>[]): number {
  let worst = 1
  for (const [index, left] of views.entries()) {
    for (const right of views.slice(index + 1)) {
      let common = 0
      for (const page of left) if (right.has(page)) common += 1
      const all = left.size + right.size - common
      worst = Math.min(worst, all === 0 ? 0 : common / all)
    }
  }
  return worst
}
