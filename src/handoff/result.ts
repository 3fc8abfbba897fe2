import type { MigrationMode } from '../guest/index.ts'
import { PAGE_BYTES, type SourceKind } from '../page/index.ts'
import type { EncoderCounts } from './encoder.ts'
import { ledgerOf, noBytesSpent, type HandoffLedger, type SpentBytes } from './ledger.ts'
import type { IncomingReport } from './resultframe.ts'

/** How pages travelled. total = zero + ref + literal, counted in page records of QEMU's stream. */
export interface PageCounts {
  total: number
  zero: number
  ref: number
  literal: number
}

/** What a handoff came to, as `pagemesh migrate --json` prints it. Counts are exact. */
export interface HandoffResult {
  guest: string
  from: string
  to: string
  mode: MigrationMode
  status: 'completed' | 'failed' | 'cancelled'
  /** Why it did not complete, as a sentence; and what the reader can do about it. */
  reason?: string
  /** Stable name of the error behind `reason`. */
  code?: string
  /** From the request until the destination confirmed, ms. */
  totalMs: number
  /** QEMU's own downtime plus what passed between the source's end and the guest's start at the destination, ms. */
  downtimeMs: number
  /** What the source QEMU wrote. */
  qemuBytes: number
  /** What the source agent sent for this handoff, census exchange and encryption included. */
  wireBytes: number
  receivedWireBytes: number
  /** What the destination fetched from other hosts while the guest moved; of all guests that arrived there then. */
  peerBytes: number
  pages: PageCounts
  refsFilledBy: Record<SourceKind, number>
  /** Bytes of the stream that went raw, before compression. */
  rawBytes: number
  literalBytes: number
  literalWireBytes: number
  /** Whether every batch's digest at the destination was that of the source. */
  digestMatched: boolean
  ledger: HandoffLedger
}

export type HandoffPhase = 'preparing' | 'precopy' | 'postcopy' | 'switchover' | 'finishing'

/** Where a handoff stands, several times a second. */
export interface HandoffProgress {
  guest: string
  from: string
  to: string
  mode: MigrationMode
  phase: HandoffPhase
  elapsedMs: number
  /** 0 to 100, by QEMU's remaining bytes; goes back when the guest dirties memory faster than it is sent. */
  percent: number
  qemuBytes: number
  wireBytes: number
  /** Over the last second. */
  wireBytesPerSecond: number
  remainingBytes: number
}

export function noRefsFilled(): Record<SourceKind, number> {
  return { sentBefore: 0, resident: 0, store: 0, peer: 0, source: 0 }
}

/** What a dry run found: nothing moved. */
export interface HandoffEstimate {
  guest: string
  from: string
  to: string
  mode: MigrationMode
  dryRun: true
  distinctPages: number
  /** Of those, how many the destination has. */
  pagesAtDestination: number
}

/** A result in which nothing was sent, to be filled in. */
export function failedResult(about: Pick<HandoffResult, 'guest' | 'from' | 'to' | 'mode'>): HandoffResult {
  return {
    ...about,
    status: 'failed',
    totalMs: 0,
    downtimeMs: 0,
    qemuBytes: 0,
    wireBytes: 0,
    receivedWireBytes: 0,
    peerBytes: 0,
    pages: { total: 0, zero: 0, ref: 0, literal: 0 },
    refsFilledBy: noRefsFilled(),
    rawBytes: 0,
    literalBytes: 0,
    literalWireBytes: 0,
    digestMatched: false,
    ledger: { savedBytes: 0, spentBytes: { source: noBytesSpent(), destination: noBytesSpent() }, netBytes: 0 },
  }
}

/** Adds what became of the stream to a result whose own bytes on the wire are known. */
export function addStream(
  result: HandoffResult,
  stream: { counts: EncoderCounts; literalWireBytes: number; report: IncomingReport | undefined; spent: SpentBytes },
): void {
  const { counts, literalWireBytes, report } = stream
  const ref = counts.ref + counts.sentBefore
  result.qemuBytes = counts.streamBytes
  result.peerBytes = report?.peerBytes ?? 0
  result.pages = { total: counts.zero + ref + counts.literal, zero: counts.zero, ref, literal: counts.literal }
  result.rawBytes = counts.rawBytes
  result.literalBytes = counts.literal * PAGE_BYTES
  result.literalWireBytes = literalWireBytes
  result.refsFilledBy = report?.refsFilledBy ?? noRefsFilled()
  result.digestMatched = report?.streamBytes === counts.streamBytes
  result.ledger = ledgerOf(result, { source: stream.spent, destination: report?.spent ?? noBytesSpent() })
}
