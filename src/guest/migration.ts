/**
 * The two sides of a guest's migration, as a handoff drives them.
 *
 * A session lives until `close`, however long the QMP connection under it does: one that is lost while the guest's
 * process lives is opened again. QEMU decides what became of a migration: the sides only ask, and tell what it said.
 */
import type { MachineDescription } from './description.ts'
import type { BesideChannels } from './channels.ts'
import type { GuestState } from './guest.ts'
import type { SettingsUndo } from './settings.ts'

export type MigrationMode = 'precopy' | 'postcopy'

/** Where a migration stands, as QEMU says it (`query-migrate`). Counts are QEMU's, before references. */
export interface MigrationProgress {
  /** `none` when there never was one. */
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

/** A status of the migration that was not told before, and why, if it failed. */
export interface MigrationNews {
  status: string
  error?: string
}

export interface OpenInit {
  /** Ends the opening only, never the session. */
  signal: AbortSignal
  /** Where a room for QEMU's sockets may be made: a directory that only the agent may write. */
  directory: string
  /** What an agent that died had changed: put back at `close`, together with what this session changes. */
  undo?: SettingsUndo
}

export interface PrepareOptions {
  mode: MigrationMode
  /** Default: none. */
  beside?: BesideChannels
  /** Awaited before anything is changed, with all that has to be put back from then on. */
  onChange?: (undo: SettingsUndo) => Promise<void>
}

export interface MigrationSide {
  /** The user that the guest's process runs as: who must be able to make sockets. */
  readonly uid: number
  /** What the two QEMUs must agree on. An older QEMU that lacks a command only says less. */
  describe(): Promise<MachineDescription>
  /**
   * Looks whether `prepare` would refuse, with the same errors, which call this end `host`. Leaves nothing changed.
   */
  check(options: { mode: MigrationMode; host?: string }): Promise<void>
  /** Every new status of the migration in order, none twice in a row; all of them before `gone` resolves. */
  follow(listener: (news: MigrationNews) => void): void
  progress(): Promise<MigrationProgress>
  state(): Promise<GuestState>
  /** Resolves when the guest's process has ended, however QMP fares. */
  readonly gone: Promise<Error>
  /**
   * Puts back every setting that was changed, then hangs up. Never throws. Idempotent. Resolves to what could not be
   * put back, because a post-copy still goes on or QEMU does not answer; undefined if nothing is left.
   */
  close(): Promise<SettingsUndo | undefined>
}

/** The source guest's side of a migration. One session at a time. */
export interface OutgoingMigration extends MigrationSide {
  /** The channels that its migration will have, or has; `count` is what its operator asks for, if anything. */
  channels(options: { mode: MigrationMode; count: number | undefined }): Promise<BesideChannels>
  /**
   * Sets what a handoff needs (return-path, bandwidth raised ...) after all checks passed.
   * Throws PagemeshError `guest-not-movable` with the reason and the remedy.
   */
  prepare(options: PrepareOptions & { maxDowntimeMs?: number }): Promise<void>
  /** Tells the guest to write its stream to the UNIX socket at `socketPath`. */
  begin(socketPath: string): Promise<void>
  startPostcopy(): Promise<void>
  /** After a break in post-copy (`postcopy-paused`): goes on over a new socket. Needs no `prepare` before it. */
  resume(socketPath: string): Promise<void>
  /**
   * Asks QEMU to give up; what `follow` then tells decides. No error if nothing runs. Resolves to false once it hands
   * its disks over: it is not asked any more, and in pre-copy only a broken stream makes it give up.
   */
  cancel(): Promise<boolean>
  /**
   * Lets the guest go on here after a migration that completed, as it was (`runState`) at switchover. Only where the
   * destination promised never to run its copy. Resolves to the state then; throws `guest-cannot-run`.
   */
  takeBack(runState: GuestState): Promise<GuestState>
}

/** The destination guest's side: a QEMU that waits with `-incoming defer`. */
export interface IncomingMigration extends MigrationSide {
  /**
   * Sets what a handoff needs; from then on QEMU never starts the guest by itself.
   * Throws PagemeshError `no-waiting-guest` if it does not wait for a migration, and others of `check`.
   */
  prepare(options: PrepareOptions): Promise<void>
  /**
   * Tells the guest to listen on the UNIX socket at `socketPath`; resolves when one can connect to it. To be called
   * once the source's stream has begun: a QEMU that was connected to waits for no other.
   */
  begin(socketPath: string): Promise<void>
  /** After a break in post-copy (`postcopy-paused`): listens for the rest on a new socket. Needs no `prepare`. */
  recover(socketPath: string): Promise<void>
  /**
   * Lets the arrived guest be as it was (`runState`) at the source at switchover: running, whatever -S says, or as it
   * stands, with its disks ready. Resolves to the state then. Throws `guest-cannot-run` when QEMU refuses, for example
   * for a locked disk, and `guest-not-loaded`; the copy stays as it is then.
   */
  release(runState: GuestState): Promise<GuestState>
  /**
   * Ends a copy; resolves when its process is gone. One that answers nobody is killed, but only if it is certain that
   * its guest has not run. Throws `guest-runs` for one that runs, `guest-silent` for one that nobody here may kill.
   */
  end(): Promise<void>
}
