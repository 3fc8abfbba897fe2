import type { OutgoingRecordedAs, Plan, RunState, SpentBytes } from '../conversation/index.ts'
import type { DriverNews, MigrationMode } from '../guest/index.ts'
import type { Mesh } from '../mesh/index.ts'
import type { ListedPages, PageHasher } from '../page/index.ts'
import type { CompressionMode, PassageThreads } from '../passage/index.ts'
import type { StreamKnowledgeData } from '../qemu/index.ts'
import type { Clock } from '../runtime/clock.ts'
import type { Log } from '../runtime/log.ts'
import type { HandoffMeasure, HandoffResult } from '../transfer/index.ts'
import type { OutgoingDriver } from './driver.ts'

export interface OutgoingComponents {
  clock: Clock
  log: Log
  mesh: Mesh
  hasher: PageHasher
  threads: PassageThreads
  /** What this host spent beside handoffs so far. */
  spent: () => SpentBytes
}

export interface OutgoingInit {
  id: string
  guest: string
  /** Name of the destination host. */
  to: string
  mode: MigrationMode
  plan: Plan
  /** What an earlier connection of a post-copy that was cut told. */
  continuation?: StreamKnowledgeData
  createDriver: (onNews: (news: DriverNews) => void) => OutgoingDriver
  /** The guest's census, if it was scanned already; without it nothing but pages sent before become refs. */
  census: ListedPages | undefined
  /** Whether pages that travel whole are compressed. */
  compression: CompressionMode
  /** Bytes a second on the wire; absent: as fast as it goes. */
  bytesPerSecondMax?: number
  /** The handoff is cancelled if the guest has not switched over by then. */
  timeoutMs?: number
  /** What is not urgent stands back; returns how to let it go on. */
  standBack: () => () => void
  /** Writes down where the handoff stands. */
  record: (as: OutgoingRecordedAs, runState: RunState, knowledge: StreamKnowledgeData | undefined) => Promise<void>
  forget: () => Promise<void>
  /** QEMU's settings were put back, or not all of them: what is written down of them is out of date. */
  onClosed: () => Promise<void>
  /** A result that was delivered before has become another: what was not known then is known now. */
  onAmended: (result: HandoffResult) => void
  onMeasure?: (measure: HandoffMeasure) => void
}
