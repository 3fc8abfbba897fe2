/** What happened in a run, for assertions and for `--json`: plain data. */
import type { AgentStatus, HandoffResult, MigrationMode } from '../../src/index.ts'
import type { MoveEnd } from './scenario.ts'

export interface RunRecord {
  scenario: string
  /** From the first step's beginning to the last one's end, ms. */
  durationMs: number
  events: RunEvent[]
  moves: MoveRecord[]
  /** Each moment at which two QEMUs of one guest ran. */
  doubles: string[]
  /** As found at the end. */
  guests: GuestRecord[]
  /** Of the agents that run at the end. */
  agents: AgentRecord[]
  /** The smallest share of popular pages that the views of two hosts have in common; absent if nobody asked. */
  viewAgreement?: number
}

export interface RunEvent {
  /** Since the first step began, ms. */
  atMs: number
  what: string
}

export interface MoveRecord {
  guest: string
  from: string
  to: string
  mode: MigrationMode
  /** Since the first step began, ms. */
  beganAtMs: number
  endedAtMs: number
  planned: { ends: MoveEnd; because?: string; isCompared: boolean }
  /** Of `pagemesh migrate`. */
  exitStatus: number
  /** What it printed; absent if nothing. */
  result?: Partial<HandoffResult>
  /** The last it said on standard error. */
  errors: string
  /** Source beside destination, both standing still. */
  comparison?: { comparedBytes: number; differences: string[] }
  /** The guest's heartbeats: the last before it left, and the last seen after it arrived. */
  beats?: { before: number; after: number }
}

export interface GuestRecord {
  name: string
  /** The host where it must be; absent if it was lost with a host that crashed. */
  host?: string
  /** Hosts where a QEMU says that it runs the guest. */
  runsOn: string[]
  /** Hosts whose agent says so. */
  seenOn: string[]
  /** Whether its heartbeat goes on. */
  isAlive: boolean
}

export interface AgentRecord {
  host: string
  /** Absent if it did not answer. */
  status?: AgentStatus
  /** Whether it settled at the end, seeing all other agents that run. */
  isSettled: boolean
  /** Directories in which a QEMU and an agent meet, that nobody took away. */
  rendezvous: string[]
}

/** How one assertion came out. */
export interface Verdict {
  assertion: string
  /** What was not so; none: it holds. */
  faults: string[]
}
