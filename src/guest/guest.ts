import type { GuestMemory } from './memory.ts'
import type { IncomingMigration, OpenInit, OutgoingMigration } from './migration.ts'
import type { ProcessIdentity } from './process.ts'

/** A guest's run state, in QEMU's words (`query-status`). */
export type GuestState =
  | 'running' | 'paused' | 'inmigrate' | 'postmigrate' | 'finish-migrate' | 'prelaunch' | 'shutdown' | 'suspended'
  | 'internal-error' | 'io-error' | 'guest-panicked' | 'watchdog' | 'debug' | 'save-vm' | 'restore-vm' | 'colo'

/**
 * A guest of this host. `memory` is for the census. The two migration sides are absent if the guest cannot move, and
 * `process` if it has none (tests, other hypervisors).
 */
export interface Guest {
  readonly name: string
  readonly pid?: number
  readonly process?: ProcessIdentity
  readonly memory: GuestMemory
  /** Its pages must not be shared. */
  readonly isPrivate?: boolean
  /** `unknown` for a guest whose memory can be scanned but whose state cannot be queried. */
  state(): Promise<GuestState | 'unknown'>
  /** Throws `guest-busy` while another session is open, `guest-gone`, `qmp-busy`, and the other errors of a visit. */
  openOutgoing?(init: OpenInit): Promise<OutgoingMigration>
  openIncoming?(init: OpenInit): Promise<IncomingMigration>
}
