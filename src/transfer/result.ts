/** What a handoff came to, as `pagemesh migrate --json` prints it: our own, and one that a manager drives. */
import type { IncomingSummary, SpentBytes } from '../conversation/index.ts'
import type { GuestState, MigrationMode } from '../guest/index.ts'
import { PAGE_BYTES, type PageSourceKind } from '../page/index.ts'
import { badFrame, noRefsFilled, type OutgoingPassageCounts } from '../passage/index.ts'

/** How pages travelled. total = zero + ref + literal, counted in page records of QEMU's stream. */
export interface PageCounts {
  total: number
  zero: number
  ref: number
  literal: number
}

/** What a handoff saved, and what had been spent before so that it could. */
export interface HandoffLedger {
  /** What QEMU wrote, less all that the handoff took: both ways between the two agents, and from peers. */
  savedBytes: number
  spentBytes: { source: SpentBytes; destination: SpentBytes }
  /** Saved by this handoff alone, less all that both hosts ever spent: later handoffs are paid for as well. */
  netBytes: number
}

/** Counts are exact. */
export interface HandoffResult {
  guest: string
  from: string
  to: string
  mode: MigrationMode
  status: 'completed' | 'failed' | 'cancelled'
  /** Why it did not complete, where the guest is then, and what the reader can do about it. */
  reason?: string
  /** Stable name of the error behind `reason`. */
  code?: string
  /** What the guest is at the destination, where it has arrived: as it was at the source at switchover. */
  arrivedState: GuestState | null
  /** From the request until the destination confirmed, ms. */
  totalMs: number
  /**
   * QEMU's own downtime plus what passed between the source's end and the guest's start at the destination, ms; null
   * for a guest that did not run.
   */
  downtimeMs: number | null
  /** What the source QEMU wrote. */
  qemuBytes: number
  /** What the source agent sent for this handoff, census exchange and encryption included. */
  wireBytes: number
  receivedWireBytes: number
  /** What the destination fetched from other hosts while the guest moved; of all guests that arrived there then. */
  peerBytes: number
  /** Connections of QEMU that were carried. */
  channels: number
  pages: PageCounts
  refsFilledBy: Record<PageSourceKind, number>
  /** Bytes of the stream that went raw, before compression. */
  rawBytes: number
  literalBytes: number
  literalWireBytes: number
  /** Whether every batch's digest at the destination was that of the source. */
  digestMatched: boolean
  ledger: HandoffLedger
}

/** What a migration that a manager drives came to, which cannot always be told from here. */
export type RelayResult = Omit<HandoffResult, 'status'> & { status: HandoffResult['status'] | 'unknown' }

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

/** What a running handoff tells of itself: counts so far. */
export type HandoffMeasure = Pick<HandoffProgress, 'phase' | 'qemuBytes' | 'wireBytes' | 'remainingBytes'> & {
  totalBytes: number
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

/** Throws PagemeshError `bad-frame` on anything else than a summary. */
export function readSummary(value: unknown): IncomingSummary {
  const { streamBytes, refsFilledBy, peerBytes, releaseMs, spent } = (value ?? {}) as Record<string, unknown>
  return {
    streamBytes: countIn({ streamBytes }, 'streamBytes'), peerBytes: countIn({ peerBytes }, 'peerBytes'),
    releaseMs: countIn({ releaseMs }, 'releaseMs'),
    refsFilledBy: countsIn(refsFilledBy, ['sentBefore', 'resident', 'store', 'peer', 'source']),
    spent: countsIn(spent, ['report', 'gossip', 'swap']),
  }
}

function countsIn<Name extends string>(value: unknown, names: readonly Name[]): Record<Name, number> {
  const counts = (typeof value === 'object' && value !== null ? value : {}) as Record<string, unknown>
  return Object.fromEntries(names.map((name) => [name, countIn(counts, name)])) as Record<Name, number>
}

function countIn(counts: Record<string, unknown>, name: string): number {
  const count = counts[name]
  if (typeof count !== 'number' || !Number.isSafeInteger(count) || count < 0) throw badFrame('its result lacks a count')
  return count
}

function noBytesSpent(): SpentBytes {
  return { report: 0, gossip: 0, swap: 0 }
}

/** A result in which nothing was sent, to be filled in. */
export function failedResult(about: Pick<HandoffResult, 'guest' | 'from' | 'to' | 'mode'>): HandoffResult {
  return {
    ...about,
    status: 'failed',
    arrivedState: null,
    totalMs: 0,
    downtimeMs: null,
    qemuBytes: 0,
    wireBytes: 0,
    receivedWireBytes: 0,
    peerBytes: 0,
    channels: 0,
    pages: { total: 0, zero: 0, ref: 0, literal: 0 },
    refsFilledBy: noRefsFilled(),
    rawBytes: 0,
    literalBytes: 0,
    literalWireBytes: 0,
    digestMatched: false,
    ledger: { savedBytes: 0, spentBytes: { source: noBytesSpent(), destination: noBytesSpent() }, netBytes: 0 },
  }
}

/** Adds what became of the streams to a result whose own bytes on the wire are known. */
export function addStreams(
  result: RelayResult,
  { channels, summary, spent }: {
    channels: readonly OutgoingPassageCounts[]; summary: IncomingSummary | undefined; spent: SpentBytes
  },
): void {
  const sum = (count: (one: OutgoingPassageCounts) => number): number =>
    channels.reduce((total, one) => total + count(one), 0)
  const zero = sum((one) => one.zero)
  const ref = sum((one) => one.ref + one.sentBefore)
  const literal = sum((one) => one.literal)
  result.channels = channels.length
  result.qemuBytes = sum((one) => one.streamBytes)
  result.peerBytes = summary?.peerBytes ?? 0
  result.pages = { total: zero + ref + literal, zero, ref, literal }
  result.rawBytes = sum((one) => one.rawBytes)
  result.literalBytes = literal * PAGE_BYTES
  result.literalWireBytes = sum((one) => one.literalWireBytes)
  result.refsFilledBy = summary?.refsFilledBy ?? noRefsFilled()
  result.digestMatched = summary !== undefined && summary.streamBytes === result.qemuBytes
  result.ledger = ledgerOf(result, { source: spent, destination: summary?.spent ?? noBytesSpent() })
}

/** What bytes come to, beside what was spent on both hosts. Pure. */
export function ledgerOf(
  bytes: { qemuBytes: number; wireBytes: number; receivedWireBytes: number; peerBytes: number },
  spentBytes: HandoffLedger['spentBytes'],
): HandoffLedger {
  const savedBytes = bytes.qemuBytes - bytes.wireBytes - bytes.receivedWireBytes - bytes.peerBytes
  const total = ({ report, gossip, swap }: SpentBytes): number => report + gossip + swap
  return { savedBytes, spentBytes, netBytes: savedBytes - total(spentBytes.source) - total(spentBytes.destination) }
}
