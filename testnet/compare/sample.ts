/** The result of one measurement as plain data. The report is made of it, and `--json` writes it unchanged. */
import type { HandoffResult } from '../../src/index.ts'
import type { Cell, Step, WayName } from './cells.ts'

/** Bytes by the agents' accounts, sent by all hosts during the move. */
export interface Accounts {
  report: number
  gossip: number
  /** Pages fetched to be kept. */
  swap: number
  /** Pages fetched from other hosts for moving guests. */
  peers: number
  handoff: number
}

/** Requests a second that the guest answered. */
export interface Work {
  before: number
  during: number
  after: number
}

export interface Sample {
  round: number
  cell: Cell
  way: WayName
  /** Bytes that all hosts' interfaces sent. */
  wireBytes: number
  /** The part of them that the source's host sent. */
  sourceBytes: number
  accounts: Accounts
  /** As reported by QEMU or the agent; of several guests the last. */
  totalMs: number
  /** As reported by QEMU, plus the agents' share; of several guests the longest. */
  downtimeMs: number
  /** The longest silence of a guest's heartbeat, from the start until a second after the end. */
  silenceMs: number
  /** The same just before, while the guest ran undisturbed. */
  usualSilenceMs: number
  /** The most that the source's interface sent in 100 ms, as a rate. */
  peakBytesPerSecond: number
  /** Of all agents. */
  agentSeconds: number
  /** Of the moved guests' QEMUs, at both ends. */
  qemuSeconds: number
  /** Of a busy guest. */
  work?: Work
  /** Pagemesh's own result for each guest. */
  handoffs: HandoffResult[]
  /** Why there was no living guest at the destination; the figures hold nevertheless. */
  loss?: string
  /** Why the guest did not move; then there are no figures. */
  failure?: string
}

/** Where, how and for how long it was measured. */
export interface Circumstances {
  command: string
  /** ISO 8601. */
  startedAt: string
  seconds: number
  cpu: string
  cpus: number
  memoryBytes: number
  load: number
  node: string
  qemu: string
  accelerator: string
  guestMemoryMiB: number
}

/** Bytes that the agents had spent before the first guest moved. */
export interface Beforehand {
  accounts: Accounts
  /** Pages that host c kept then, and pages that it knew to be popular. */
  storePages: number
  popularPages: number
}

export interface Measured {
  circumstances: Circumstances
  beforehand: Beforehand
  samples: Sample[]
  /** Measurements of the plan's first round that were omitted. */
  omitted: number
}

/** The sample of a failed measurement. */
export function failedSample(step: Step, failure: string): Sample {
  return {
    ...step, failure, wireBytes: 0, sourceBytes: 0,
    accounts: { report: 0, gossip: 0, swap: 0, peers: 0, handoff: 0 },
    totalMs: 0, downtimeMs: 0, silenceMs: 0, usualSilenceMs: 0, peakBytesPerSecond: 0, agentSeconds: 0,
    qemuSeconds: 0, handoffs: [],
  }
}
