import type { PageSourceKind } from '../page/index.ts'

/** Bytes that a host sent and received apart from handoffs since its agent started, by account. */
export interface SpentBytes {
  report: number
  gossip: number
  swap: number
}

/** What the incoming end says of all that it received, when all is done. */
export interface IncomingSummary {
  /** Bytes of the stream that its QEMU accepted, all under matching digests. */
  streamBytes: number
  /**
   * Those of them on the channel of urgent pages, which QEMU may close before it has taken the last ones: it needs them
   * no more. Absent: there is no such channel, or a version before 1.1 does not say.
   */
  urgentBytes?: number
  refsFilledBy: Record<PageSourceKind, number>
  /** Bytes that came from hosts other than the source. */
  peerBytes: number
  /** From the source's `givenUp` until the guest was released, ms. */
  releaseMs: number
  spent: SpentBytes
}
