import type { GuestState } from '../guest/index.ts'
import type { HandoffProgress, IncomingStatus } from '../handoff/index.ts'

/** One snapshot of an agent: what `pagemesh status --json` prints, and all that pages and metrics show. */
export interface AgentStatus {
  host: string
  peerId: string
  version: string
  /** Every guest was scanned since it appeared, and nothing that placement wants is pending. */
  settled: boolean
  peers: { host: string; peerId: string; address: string }[]
  guests: {
    name: string
    pid: number | null
    state: GuestState | 'unknown'
    ramBytes: number
    residentPages: number
    distinctPages: number
  }[]
  census: { distinctPages: number; scans: number; bytes: number }
  popularity: { pages: number }
  placement: { wanted: number; held: number; pending: number }
  store: { pages: number; bytes: number; maxBytes: number }
  traffic: {
    report: Traffic
    gossip: Traffic
    swap: Traffic
    handoff: Traffic
  }
  handoffs: (({ direction: 'outgoing' } & HandoffProgress) | ({ direction: 'incoming' } & IncomingStatus))[]
  /** Peers that could not prove the cluster key, since start. */
  strangers: number
}

export interface Traffic {
  sentBytes: number
  receivedBytes: number
}
