/**
 * A running VM as we may see it: its memory, read-only, and its migration, through QMP.
 * Hosts that are not QEMU (tests, other hypervisors) implement the same two ports.
 */
import type { ProcessMemoryLayout } from './processmemory.ts'

export { discoverGuests, type DiscoveredGuest, type GuestDiscovery, type GuestDiscoveryInit } from './discovery.ts'
export { findLayout, type FoundLayout } from './layout.ts'
export { readStartTicks, type ProcessIdentity } from './process.ts'
export { openProcessMemory, type ProcessMemoryBlock, type ProcessMemoryLayout } from './processmemory.ts'
export { connectQmp, type QmpClient, type QmpEvent, type QmpOptions } from './qmp.ts'

/** What QEMU says a guest is doing, in its own words (`query-status`). */
export type GuestState =
  | 'running' | 'paused' | 'inmigrate' | 'postmigrate' | 'finish-migrate' | 'prelaunch' | 'shutdown' | 'suspended'
  | 'internal-error' | 'io-error' | 'guest-panicked' | 'watchdog' | 'debug' | 'save-vm' | 'restore-vm' | 'colo'

export interface RamBlock {
  /** QEMU's name of the block, such as `pc.ram`. */
  name: string
  /** Bytes in use; a multiple of PAGE_BYTES. */
  bytes: number
}

/**
 * A guest's memory, read-only. Reading never changes the guest: absent and swapped pages are never touched.
 * Every method may reject with PagemeshError `guest-gone`: guests vanish.
 */
export interface GuestMemory {
  /** The guest's name, unique on its host. */
  readonly name: string
  readonly blocks: readonly RamBlock[]
  /** Writes for each of `pageCount` pages from `firstPage` of block `block`: 1 into `into[i]` if resident, else 0. */
  resident(block: number, firstPage: number, pageCount: number, into: Uint8Array): Promise<void>
  /** Reads `pageCount` resident pages that lie one after the other into `into` (4096 bytes each). */
  read(block: number, firstPage: number, pageCount: number, into: Uint8Array): Promise<void>
  /** For memory of another process: what a worker thread needs to open it for itself. */
  readonly layout?: ProcessMemoryLayout
  close(): Promise<void>
}

export type MigrationMode = 'precopy' | 'postcopy'

/** Where a migration stands at the source, as QEMU says it (`query-migrate`). Counts are QEMU's, before references. */
export interface MigrationProgress {
  status: string
  /** Bytes that QEMU wrote for RAM so far. */
  transferredBytes: number
  remainingBytes: number
  totalBytes: number
  dirtySyncCount: number
  /** Milliseconds; present when completed. */
  totalMs?: number
  downtimeMs?: number
  error?: string
}

/** The source guest's side of a migration. One session at a time; `close` lets the guest's control socket go. */
export interface OutgoingMigration {
  /**
   * Checks that the guest can move and sets what a handoff needs (return-path, no multifd, bandwidth raised).
   * Throws PagemeshError `guest-not-movable` with the reason and the remedy.
   * Resolves to whether the guest runs now: a paused guest stays paused at the destination.
   */
  prepare(options: { mode: MigrationMode; maxDowntimeMs?: number }): Promise<{ running: boolean }>
  /** Tells the guest to write its stream to the UNIX socket at `socketPath`. */
  begin(socketPath: string): Promise<void>
  progress(): Promise<MigrationProgress>
  /** Changes of status as they happen. */
  onStatus(listener: (status: string) => void): void
  startPostcopy(): Promise<void>
  /** After a break in postcopy (`postcopy-paused`): goes on over a new socket. Needs no `prepare` before it. */
  resume?(socketPath: string): Promise<void>
  /** Asks the guest to give up; it goes on running here. Idempotent, and no error if nothing runs. */
  cancel(): Promise<void>
  /** The user and group that the guest's process runs as: who must be able to reach the socket. */
  readonly owner: { uid: number; gid: number }
  /** Resolves when the control connection is lost, with why. */
  readonly gone: Promise<Error>
  close(): Promise<void>
}

/** The destination guest's side: a QEMU that waits with `-incoming defer`. */
export interface IncomingMigration {
  /** Sets what a handoff needs. Throws PagemeshError `no-waiting-guest` if it does not wait for a migration. */
  prepare(options: { mode: MigrationMode }): Promise<void>
  /** Tells the guest to listen on the UNIX socket at `socketPath`; resolves when one can connect to it. */
  begin(socketPath: string): Promise<void>
  /** After a break in postcopy (`postcopy-paused`): listens for the rest on a new socket. */
  recover?(socketPath: string): Promise<void>
  state(): Promise<GuestState>
  /** Status of the incoming migration (`query-migrate`): active, completed, failed, postcopy-active ... */
  progress(): Promise<{ status: string; error?: string }>
  onStatus(listener: (status: string) => void): void
  /**
   * Lets the arrived guest run, once the source has given it up; to be called only if it ran there. Leaves it paused
   * where its operator asked for that (`-S`), and does nothing after postcopy, where QEMU has started it by itself.
   */
  release(): Promise<void>
  /** Ends a guest that arrived but that the source kept: only of one that is not running. */
  abandon(): Promise<void>
  readonly owner: { uid: number; gid: number }
  readonly gone: Promise<Error>
  close(): Promise<void>
}

/** A guest of this host. `memory` is for the census; the two migration sides are absent where a guest cannot move. */
export interface Guest {
  readonly name: string
  readonly pid?: number
  readonly memory: GuestMemory
  state(): Promise<GuestState>
  openOutgoing?(signal: AbortSignal): Promise<OutgoingMigration>
  openIncoming?(signal: AbortSignal): Promise<IncomingMigration>
}
