import type { PageSourceKind } from '../page/index.ts'

/** Bytes that a host spent beside handoffs, both ways over its network, since its agent started: by account. */
export interface SpentBytes {
  report: number
  gossip: number
  swap: number
}

/** What the incoming end says of all that it received, when all is done. */
export interface IncomingSummary {
  /** Bytes of the stream that its QEMU took, every one under a matching digest. */
  streamBytes: number
  refsFilledBy: Record<PageSourceKind, number>
  /** What came from other hosts than the source meanwhile. */
  peerBytes: number
  /** From the source's word that the guest may run here until it did, ms. */
  releaseMs: number
  spent: SpentBytes
}
