/** Bytes that a host spent beside handoffs, both ways over its network, since its agent started: by account. */
export interface SpentBytes {
  report: number
  gossip: number
  swap: number
}

/** What a handoff saved, and what had been spent before so that it could. */
export interface HandoffLedger {
  /** What QEMU wrote, less all that the handoff took: both ways between the two agents, and from peers. */
  savedBytes: number
  spentBytes: { source: SpentBytes; destination: SpentBytes }
  /** Saved by this handoff alone, less all that both hosts ever spent: later handoffs are paid for as well. */
  netBytes: number
}

export function noBytesSpent(): SpentBytes {
  return { report: 0, gossip: 0, swap: 0 }
}

function totalSpent({ report, gossip, swap }: SpentBytes): number {
  return report + gossip + swap
}

export function ledgerOf(
  bytes: { qemuBytes: number; wireBytes: number; receivedWireBytes: number; peerBytes: number },
  spentBytes: HandoffLedger['spentBytes'],
): HandoffLedger {
  const savedBytes = bytes.qemuBytes - bytes.wireBytes - bytes.receivedWireBytes - bytes.peerBytes
  const { source, destination } = spentBytes
  return { savedBytes, spentBytes, netBytes: savedBytes - totalSpent(source) - totalSpent(destination) }
}
