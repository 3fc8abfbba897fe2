import type { AgentStatus, Examination, HandoffRecord } from '../../index.ts'
import type { PortRange } from '../../net/portranges.ts'
import type { Attempt } from '../../net/tcpprobe.ts'
import type { Config } from '../config.ts'

/** Why something could not be had, and what its error advises. */
export interface Failure {
  message: string
  advice: string | null
  /** Of PagemeshError. */
  code?: string
}

/** What was seen of a host. Nothing here is judged. */
export interface Facts {
  /** Of the command that asks. */
  program: { version: string; nodeVersion: string }
  configuration: { file: string; config: Config | null; failure: Failure | null }
  agent: AgentFacts
  /** The one member that was asked for. */
  to: string | null
  /** Addresses that should be listened at, and whether a connection to them from here succeeds. */
  listening: (Attempt & { key: 'listen' | 'lane' | 'http' })[]
  /** Names in `listen` and `lane`, and the addresses that they mean here. */
  names: { name: string; addresses: string[] }[]
  ownAddresses: string[]
  /** Of the agent's process, or of this one where there is no agent. */
  rights: { uid: number; capabilities: number[] }
  /** Yama's; null where there is none. */
  ptraceScope: number | null
  /** Why a page map cannot be read; null: it can. */
  pagemap: string | null
  userfaultfd: { forAll: boolean | null; hasDevice: boolean }
  /** QEMUs that run here, whoever started them. */
  qemus: { pid: number; uid: number; capabilities: number[] }[]
  /** QEMUs that may not be looked at. */
  hiddenQemus: number
  /** QMP sockets that match `guests`; where no agent has them, with the QEMU behind each, or why it does not say. */
  sockets: { path: string; qemuVersion: string | null; why: string | null }[]
  /** Ports that are to be intercepted, and why they cannot be. */
  intercept: { ports: PortRange[]; why: string | null }
  kernel: AgentStatus['kernel'] | null
  store: StoreFacts | null
}

export interface AgentFacts {
  control: string
  examination: Examination | null
  failure: Failure | null
  /** Its last handoffs, newest first. */
  history: HandoffRecord[]
}

export interface StoreFacts {
  path: string
  bytesMax: number
  freeBytes: number
  /** The file system's kind, as its number says: `tmpfs`, `nfs`, or `disk` for all others. */
  kind: 'tmpfs' | 'nfs' | 'disk'
  isReadOnly: boolean
}
