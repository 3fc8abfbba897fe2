import type { Hastening, OutgoingRecordedAs, Plan, RunState, SpentBytes } from '../conversation/index.ts'
import type { BesideChannels, DriverNews, MigrationMode } from '../guest/index.ts'
import type { Mesh } from '../mesh/index.ts'
import type { ListedPages, PageScope, PageScopes, Prefixes } from '../page/index.ts'
import type { CompressionMode, KnownPublic, PassageThreads } from '../passage/index.ts'
import type { StreamKnowledgeData } from '../qemu/index.ts'
import type { Clock } from '../runtime/clock.ts'
import type { Log } from '../runtime/log.ts'
import type { HandoffMeasure, HandoffResult } from '../transfer/index.ts'
import type { OutgoingDriver } from './driver.ts'

export interface OutgoingComponents {
  clock: Clock
  log: Log
  mesh: Mesh
  scopes: PageScopes
  threads: PassageThreads
  /** Bytes that this host has spent apart from handoffs. */
  spent: () => SpentBytes
}

export interface OutgoingInit {
  id: string
  guest: string
  /** Name of the destination host. */
  to: string
  mode: MigrationMode
  plan: Plan
  /** Knowledge from the earlier connection of a cut post-copy. */
  continuation?: StreamKnowledgeData
  createDriver: (onNews: (news: DriverNews) => void) => OutgoingDriver
  /** The guest's census, if it was scanned; without it only pages sent before become refs. */
  census: ListedPages | undefined
  /** The scope that its pages are hashed in, in the census too; `private`: it shares nothing. */
  scope: PageScope | 'private' | undefined
  /** Whether pages sent whole are compressed. */
  compression: CompressionMode
  /** Bytes a second on the wire; absent: unlimited. */
  bytesPerSecondMax?: number
  /** If the guest has not switched over within this time, the handoff is cancelled, or as `onTimeout` says. */
  timeoutMs?: number
  onTimeout?: 'cancel' | Hastening
  /** Pauses background work; returns a function that resumes it. */
  standBack: () => () => void
  /** Writes the handoff's record to disk. */
  record: (as: OutgoingRecordedAs, runState: RunState, knowledge: StreamKnowledgeData | undefined) => Promise<void>
  forget: () => Promise<void>
  /** QEMU's settings were restored, some perhaps not: their record must be updated. */
  onClosed: () => Promise<void>
  /** A delivered result has changed, because more is known now. */
  onAmended: (result: HandoffResult) => void
  onMeasure?: (measure: HandoffMeasure) => void
}

/** What the exchange before a handoff tells, for a prediction. */
export interface EstimateFindings {
  /** The pages that the destination has. */
  known: Prefixes
  /** Public pages that it has, if the guest may be sent with refs to them. */
  publicPages: KnownPublic | undefined
  /** Measured speed of the link; undefined if the exchange was too small to tell. */
  linkBytesPerSecond: number | undefined
  beside: BesideChannels
  /** Bytes that the exchange before the stream takes. */
  exchangeBytes: number
}
