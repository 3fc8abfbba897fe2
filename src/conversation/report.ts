import type { SourceKind } from '../page/index.ts'

/** Bytes that a host sent and received apart from handoffs since its agent started, by account. */
export interface SpentBytes {
  report: number
  gossip: number
  swap: number
}

/** The incoming end's final report. */
export interface IncomingReport {
  /** Bytes of the stream that its QEMU accepted, all under matching digests. */
  streamBytes: number
  refsFilledBy: Record<SourceKind, number>
  /** Bytes that came from hosts other than the source. */
  peerBytes: number
  /** From the source's `givenUp` until the guest was released, ms. */
  releaseMs: number
  spent: SpentBytes
}
