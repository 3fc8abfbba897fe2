/** What one measurement found: plain data. The report is made of it, and `--json` writes it as it is. */
import type { HandoffResult } from '../../src/index.ts'
import type { Cell, Step, WayName } from './cells.ts'

/** Bytes by the agents' accounts, sent by all hosts meanwhile. */
export interface Accounts {
  report: number
  gossip: number
  /** Pages kept beforehand. */
  swap: number
  /** Pages had from others for guests that move. */
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
  /** What all hosts' interfaces sent, everything included. */
  wireBytes: number
  /** Of those what the source's host sent. */
  sourceBytes: number
  accounts: Accounts
  /** As QEMU or the agent says; of several guests the last. */
  totalMs: number
  /** As QEMU says, and what the agents add to it; of several guests the longest. */
  downtimeMs: number
  /** The longest time for which no heartbeat came out of a guest, from the start until a second after the end. */
  silenceMs: number
  /** The same while the guest ran undisturbed just before. */
  usualSilenceMs: number
  /** The most that the source's interface sent in 100 ms. */
  peakBytesPerSecond: number
  /** Of all agents. */
  agentSeconds: number
  /** Of the QEMUs of the guests that moved, at both ends. */
  qemuSeconds: number
  /** Of a busy guest. */
  work?: Work
  /** What Pagemesh says of each guest. */
  handoffs: HandoffResult[]
  /** The figures hold, but there was no living guest at the destination: why. */
  loss?: string
  /** The guest did not move: why. Then there are no figures. */
  failure?: string
}

/** Where, how and how long it was measured. */
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

/** What the agents had spent before the first guest moved. */
export interface Beforehand {
  accounts: Accounts
  /** Pages that host c then kept, and knew as popular. */
  storePages: number
  popularPages: number
}

export interface Measured {
  circumstances: Circumstances
  beforehand: Beforehand
  samples: Sample[]
  /** Measurements of the plan's first round that were not made. */
  omitted: number
}

/** A measurement that came to nothing. */
export function failedSample(step: Step, failure: string): Sample {
  return {
    ...step, failure, wireBytes: 0, sourceBytes: 0,
    accounts: { report: 0, gossip: 0, swap: 0, peers: 0, handoff: 0 },
    totalMs: 0, downtimeMs: 0, silenceMs: 0, usualSilenceMs: 0, peakBytesPerSecond: 0, agentSeconds: 0,
    qemuSeconds: 0, handoffs: [],
  }
}
