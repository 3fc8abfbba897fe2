/** The record of a run, for assertions and for `--json`: plain data. */
import type { AgentStatus, HandoffResult, MigrationMode } from '../../src/index.ts'
import type { MoveEnd } from './scenario.ts'

export interface RunRecord {
  scenario: string
  /** From the first step's beginning to the last one's end, ms. */
  durationMs: number
  events: RunEvent[]
  moves: MoveRecord[]
  /** A line for each moment at which two QEMUs of one guest ran. */
  doubles: string[]
  /** At the end of the run. */
  guests: GuestRecord[]
  /** Of the agents that run at the end. */
  agents: AgentRecord[]
  /** The smallest overlap of two hosts' views, as a share of popular pages; absent if not measured. */
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
  /** Its JSON output; absent if none. */
  result?: Partial<HandoffResult>
  /** The last lines of its standard error. */
  errors: string
  /** Source compared with destination, both standing still. */
  comparison?: { comparedBytes: number; differences: string[] }
  /** The guest's heartbeats: the last before it left, and the last after it arrived. */
  beats?: { before: number; after: number }
}

export interface GuestRecord {
  name: string
  /** The host where it must be; absent if it was lost with a host that crashed. */
  host?: string
  /** Hosts whose QEMU runs the guest. */
  runsOn: string[]
  /** Hosts whose agent reports the guest as running. */
  seenOn: string[]
  /** Whether its heartbeat goes on. */
  isAlive: boolean
}

export interface AgentRecord {
  host: string
  /** Absent if it did not answer. */
  status?: AgentStatus
  /** Whether it settled at the end, with all other running agents connected. */
  isSettled: boolean
  /** Directories for meeting a QEMU that an agent has left behind. */
  rendezvous: string[]
}

/** The result of one assertion. */
export interface Verdict {
  assertion: string
  /** The faults found; none: it holds. */
  faults: string[]
}
