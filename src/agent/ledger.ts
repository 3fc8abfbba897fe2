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

/** Bytes of this host by account, without the handoffs themselves. */
export function trafficOf({ mesh, popularity, possession, swap }: Parts): Omit<AgentStatus['traffic'], 'handoff'> {
  const { report, view } = popularity.traffic
  const { gossip } = mesh.traffic
  return {
    // Reports of pages held, and proofs of them.
    report: {
      sentBytes: report.sentBytes + possession.traffic.sentBytes,
      receivedBytes: report.receivedBytes + possession.traffic.receivedBytes,
    },
    // Gossip, and requests for popular pages that gossip did not bring.
    gossip: {
      sentBytes: gossip.sentBytes + view.sentBytes, receivedBytes: gossip.receivedBytes + view.receivedBytes,
    },
    swap: copyOf(swap.traffic.placement),
    peers: copyOf(swap.traffic.handoff),
  }
}

/** Bytes sent and received apart from handoffs. */
export function spentOf({ report, gossip, swap }: ReturnType<typeof trafficOf>): SpentBytes {
  return { report: bothWays(report), gossip: bothWays(gossip), swap: bothWays(swap) }
}

/**
 * Bytes that this host spent and saved since its agent started. Both ends count each byte, spent or saved, so the sum
 * over all hosts counts it twice.
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
