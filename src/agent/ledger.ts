import type { SpentBytes } from '../conversation/index.ts'
import type { Mesh } from '../mesh/index.ts'
import type { Popularity } from '../popularity/index.ts'
import type { Possession } from '../possession/index.ts'
import type { Swap } from '../swap/index.ts'
import type { AgentStatus, Traffic } from './status.ts'

interface Parts {
  mesh: Mesh
  popularity: Popularity
  possession: Pick<Possession, 'traffic'>
  swap: Swap
}

/** All bytes of this host by account, but those of handoffs themselves. */
export function trafficOf({ mesh, popularity, possession, swap }: Parts): Omit<AgentStatus['traffic'], 'handoff'> {
  const { report, view } = popularity.traffic
  const { gossip } = mesh.traffic
  return {
    // What hosts say that they hold, and what they prove of it when asked.
    report: {
      sentBytes: report.sentBytes + possession.traffic.sentBytes,
      receivedBytes: report.receivedBytes + possession.traffic.receivedBytes,
    },
    // What gossip tells, and what is asked for because gossip did not.
    gossip: {
      sentBytes: gossip.sentBytes + view.sentBytes, receivedBytes: gossip.receivedBytes + view.receivedBytes,
    },
    swap: copyOf(swap.traffic.placement),
    peers: copyOf(swap.traffic.handoff),
  }
}

/** What was spent beside handoffs, both ways. */
export function spentOf({ report, gossip, swap }: ReturnType<typeof trafficOf>): SpentBytes {
  return { report: bothWays(report), gossip: bothWays(gossip), swap: bothWays(swap) }
}

/**
 * What this host spent and saved since its agent started. A byte counts at either end: the sum over all hosts has each
 * twice, what was spent as well as what was saved.
 */
export function ledgerOf(traffic: ReturnType<typeof trafficOf>, savedBytes: number): AgentStatus['ledger'] {
  const spent = { ...spentOf(traffic), peers: bothWays(traffic.peers) }
  const { report, gossip, swap, peers } = spent
  return { savedBytes, spentBytes: spent, netBytes: savedBytes - report - gossip - swap - peers }
}

function copyOf({ sentBytes, receivedBytes }: Traffic): Traffic {
  return { sentBytes, receivedBytes }
}

function bothWays({ sentBytes, receivedBytes }: Traffic): number {
  return sentBytes + receivedBytes
}
