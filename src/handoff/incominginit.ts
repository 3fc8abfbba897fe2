import type {
  IncomingEnding, IncomingPlan, IncomingRecordedAs, IncomingState, RunState, SpentBytes,
} from '../conversation/index.ts'
import type { DriverNews, MigrationMode } from '../guest/index.ts'
import type { IncomingDriver } from './driver.ts'
import type { IncomingChannelsComponents } from './incomingchannels.ts'

export interface IncomingComponents extends IncomingChannelsComponents {
  /** What this host spent beside handoffs so far. */
  spent: () => SpentBytes
}

export interface IncomingInit {
  id: string
  guest: string
  /** Name of the source's host. */
  from: string
  mode: MigrationMode
  plan: IncomingPlan
  createDriver: (onNews: (news: DriverNews) => void) => IncomingDriver
  /** Whether this host has a page whose id begins with these bits. */
  has: (prefixHigh: number, prefixLow: number, prefixBits: number) => boolean
  /** What is not urgent stands back; returns how to let it go on. */
  standBack: () => () => void
  /** Writes down where the handoff stands. */
  record: (as: IncomingRecordedAs, runState: RunState) => Promise<void>
  forget: () => Promise<void>
  /** QEMU's settings were put back, or not all of them: what is written down of them is out of date. */
  onClosed: () => Promise<void>
  /** The handoff rests: the guest's name is free. May come again when more is known. */
  onDelivered: (ending: IncomingEnding) => void
}

/** What stands for a running incoming handoff in `status`. */
export interface IncomingStatus {
  guest: string
  from: string
  phase: IncomingState['at']
  streamBytes: number
}
