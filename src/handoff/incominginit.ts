import type {
  IncomingEnding, IncomingPlan, IncomingRecordedAs, IncomingState, RunState, SpentBytes,
} from '../conversation/index.ts'
import type { DriverNews, MigrationMode } from '../guest/index.ts'
import type { PageScopes } from '../page/index.ts'
import type { PublicPages } from '../transfer/index.ts'
import type { IncomingDriver } from './driver.ts'
import type { IncomingChannelsComponents } from './incomingchannels.ts'

export interface IncomingComponents extends IncomingChannelsComponents {
  /** Bytes that this host has spent apart from handoffs. */
  spent: () => SpentBytes
  scopes: PageScopes
  publicPages: PublicPages
}

export interface IncomingInit {
  id: string
  guest: string
  /** Name of the source's host. */
  from: string
  mode: MigrationMode
  plan: IncomingPlan
  createDriver: (onNews: (news: DriverNews) => void) => IncomingDriver
  /** Whether the QEMU that waits here shares nothing. */
  isPrivate: () => boolean
  /** Whether this host has a page whose id begins with these bits, in a guest of this tenant or in its store. */
  has: (prefixHigh: number, prefixLow: number, prefixBits: number, tenant: string) => boolean
  /** Pauses background work; returns a function that resumes it. */
  standBack: () => () => void
  /** Writes the handoff's record to disk. */
  record: (as: IncomingRecordedAs, runState: RunState) => Promise<void>
  forget: () => Promise<void>
  /** QEMU's settings were restored, some perhaps not: their record must be updated. */
  onClosed: () => Promise<void>
  /** The handoff rests: the guest's name is free. Called again if the ending changes. */
  onDelivered: (ending: IncomingEnding) => void
  /** Over, where it was not when it was delivered: the source's host knows what became of the guest. */
  onDismissed: () => void
}

/** An incoming handoff under way, as `status` shows it. */
export interface IncomingStatus {
  guest: string
  from: string
  phase: IncomingState['at']
  streamBytes: number
}
