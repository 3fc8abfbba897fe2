import type { GuestMemory } from './memory.ts'
import type { IncomingMigration, OpenInit, OutgoingMigration } from './migration.ts'
import type { ProcessIdentity } from './process.ts'

/** What QEMU says a guest is doing, in its own words (`query-status`). */
export type GuestState =
  | 'running' | 'paused' | 'inmigrate' | 'postmigrate' | 'finish-migrate' | 'prelaunch' | 'shutdown' | 'suspended'
  | 'internal-error' | 'io-error' | 'guest-panicked' | 'watchdog' | 'debug' | 'save-vm' | 'restore-vm' | 'colo'

/**
 * A guest of this host. `memory` is for the census; the two migration sides are absent where a guest cannot move,
 * and `process` where the guest is none (tests, other hypervisors).
 */
export interface Guest {
  readonly name: string
  readonly pid?: number
  readonly process?: ProcessIdentity
  readonly memory: GuestMemory
  /** Nothing of its memory may be shared with others. */
  readonly isPrivate?: boolean
  /** `unknown` where nobody can say more than that its memory is what it works with. */
  state(): Promise<GuestState | 'unknown'>
  /** Throws `guest-busy` while another session is open, `guest-gone`, `qmp-busy` and what else a visit may throw. */
  openOutgoing?(init: OpenInit): Promise<OutgoingMigration>
  openIncoming?(init: OpenInit): Promise<IncomingMigration>
}
