/** The result of a handoff, as `pagemesh migrate --json` prints it: one of our own, or one that a manager drives. */
import type { IncomingSummary, SpentBytes } from '../conversation/index.ts'
import type { GuestState, MigrationMode } from '../guest/index.ts'
import { PAGE_BYTES, type PageSourceKind } from '../page/index.ts'
import { badFrame, noRefsFilled, type OutgoingPassageCounts } from '../passage/index.ts'
import type { Expected, Obstacle } from './prediction.ts'

/** How pages travelled. total = zero + ref + literal, counted in page records of QEMU's stream. */
export interface PageCounts {
  total: number
  zero: number
  ref: number
  literal: number
}

/** What a handoff saved, and what both hosts had spent before to make that possible. */
export interface HandoffLedger {
  /** Bytes that QEMU wrote, less all bytes of the handoff: both ways between the two agents, and from peers. */
  savedBytes: number
  spentBytes: { source: SpentBytes; destination: SpentBytes }
  /** Saved by this handoff, less all bytes that both hosts ever spent; these pay for later handoffs as well. */
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
  /** The guest's run state on arrival, which is the one at switchover; null if it has not arrived. */
  arrivedState: GuestState | null
  /** From the request until the destination confirmed, ms. */
  totalMs: number
  /**
   * QEMU's own downtime plus the time from the source's end to the guest's start at the destination, ms; null for a
   * guest that did not run.
   */
  downtimeMs: number | null
  /** Bytes that the source QEMU wrote. */
  qemuBytes: number
  /** Bytes that the source agent sent for this handoff, census exchange and encryption included. */
  wireBytes: number
  receivedWireBytes: number
  /** Bytes that the destination fetched from other hosts during the handoff, for all guests arriving there. */
  peerBytes: number
  /** QEMU connections that were carried. */
  channels: number
  pages: PageCounts
  refsFilledBy: Record<PageSourceKind, number>
  /** Why no page was sent as a reference to one that the destination had; absent where they may be. */
  apart?: string
  /** Bytes of the stream that passed raw, before compression. */
  rawBytes: number
  literalBytes: number
  literalWireBytes: number
  /**
   * Whether every batch's digest at the destination matched the source's, and its QEMU took all of them, but for the
   * last urgent pages, which it may not need.
   */
  digestMatched: boolean
  ledger: HandoffLedger
}

/** The result of a migration that a manager drives; its outcome may be unknown here. */
export type RelayResult = Omit<HandoffResult, 'status'> & { status: HandoffResult['status'] | 'unknown' }

export type HandoffPhase = 'queued' | 'preparing' | 'precopy' | 'postcopy' | 'switchover' | 'finishing'

/** Progress of a handoff, sent several times a second. */
export interface HandoffProgress {
  guest: string
  from: string
  to: string
  mode: MigrationMode
  phase: HandoffPhase
  /** What it waits for while it is `queued`. */
  why?: string
  elapsedMs: number
  /** 0 to 100, by QEMU's remaining bytes; goes back when the guest dirties memory faster than it is sent. */
  percent: number
  qemuBytes: number
  wireBytes: number
  /** Over the last second. */
  wireBytesPerSecond: number
  remainingBytes: number
  /**
   * Why pre-copy does not end: after two passes the guest changes its memory faster than QEMU's stream is carried.
   * Absent while it is not so.
   */
  dirtyBytesPerSecond?: number
  carriedBytesPerSecond?: number
}

/** Counts of a running handoff so far. */
export type HandoffMeasure = Pick<HandoffProgress, 'phase' | 'qemuBytes' | 'wireBytes' | 'remainingBytes'> & {
  totalBytes: number
  /** QEMU's passes over the memory that it has begun. */
  passes: number
  dirtyBytesPerSecond: number
}

/** The result of a dry run: nothing moved. */
export interface HandoffEstimate {
  guest: string
  from: string
  to: string
  mode: MigrationMode
  dryRun: true
  distinctPages: number
  /** How many of those the destination has; of public pages among them, about, from a sample of the guest's pages. */
  pagesAtDestination: number
  /** Why no page will be sent as a reference to one that the destination has; absent where they may be. */
  apart?: string
  /** What a handoff would come to now; absent while only destinations are compared. */
  expected?: Expected
  /** What would stand in its way, though nothing refuses it. */
  obstacles?: Obstacle[]
}

/** Throws PagemeshError `bad-frame` on anything but a summary. */
export function readSummary(value: unknown): IncomingSummary {
  const said = (value ?? {}) as Record<string, unknown>
  const { streamBytes, urgentBytes, refsFilledBy, peerBytes, releaseMs, spent } = said
  return {
    ...(urgentBytes === undefined ? {} : { urgentBytes: countIn({ urgentBytes }, 'urgentBytes') }),
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

/** Adds the counts of the streams to a result that already has its own bytes on the wire. */
export function addStreams(
  result: RelayResult,
  { channels, urgentBytes = 0, summary, spent }: {
    channels: readonly OutgoingPassageCounts[]
    /** Bytes of the channel of urgent pages. */
    urgentBytes?: number
    summary: IncomingSummary | undefined
    spent: SpentBytes
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
  result.digestMatched = summary !== undefined && hasAll(summary, { qemuBytes: result.qemuBytes, urgentBytes })
  result.ledger = ledgerOf(result, { source: spent, destination: summary?.spent ?? noBytesSpent() })
}

/** Whether QEMU took all that the source sent, but for urgent pages that it no longer needed. */
function hasAll(summary: IncomingSummary, sent: { qemuBytes: number; urgentBytes: number }): boolean {
  const { streamBytes, urgentBytes } = summary
  if (urgentBytes === undefined) return streamBytes === sent.qemuBytes
  return streamBytes - urgentBytes === sent.qemuBytes - sent.urgentBytes && urgentBytes <= sent.urgentBytes
}

/** The ledger of a handoff's bytes, beside what both hosts spent. Pure. */
export function ledgerOf(
  bytes: { qemuBytes: number; wireBytes: number; receivedWireBytes: number; peerBytes: number },
  spentBytes: HandoffLedger['spentBytes'],
): HandoffLedger {
  const savedBytes = bytes.qemuBytes - bytes.wireBytes - bytes.receivedWireBytes - bytes.peerBytes
  const total = ({ report, gossip, swap }: SpentBytes): number => report + gossip + swap
  return { savedBytes, spentBytes, netBytes: savedBytes - total(spentBytes.source) - total(spentBytes.destination) }
}
