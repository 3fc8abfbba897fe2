/**
 * The two sides of a guest's migration, as a handoff drives them.
 *
 * A session lives until `close`: if its QMP connection is lost while the guest's process lives, it is opened again.
 * QEMU decides the outcome of a migration: the sides only ask, and report its answers.
 */
import type { Endpoint } from '../net/endpoint.ts'
import type { BesideChannels } from './channels.ts'
import type { MachineDescription } from './description.ts'
import type { GuestState } from './guest.ts'
import type { SettingsUndo } from './settings.ts'

export type MigrationMode = 'precopy' | 'postcopy'

/** State of a migration, from QEMU's `query-migrate`. Counts are QEMU's, before references. */
export interface MigrationProgress {
  /** `none` when there never was one. */
  status: string
  /** Bytes that QEMU wrote for RAM so far. */
  transferredBytes: number
  remainingBytes: number
  totalBytes: number
  dirtySyncCount: number
  /** Rate at which the guest changes its memory; 0 before QEMU has measured it. */
  dirtyBytesPerSecond: number
  /** Milliseconds; present when completed. */
  totalMs?: number
  downtimeMs?: number
  error?: string
}

/** A new status of the migration, with the error if it failed. */
export interface MigrationNews {
  status: string
  error?: string
}

export interface OpenInit {
  /** Aborts only the opening, never the session. */
  signal: AbortSignal
  /** Directory for QEMU's sockets, writable by the agent alone. */
  directory: string
  /** Settings changed by an agent process that died: restored at `close`, together with this session's changes. */
  undo?: SettingsUndo
}

export interface PrepareOptions {
  mode: MigrationMode
  /** Default: none. */
  beside?: BesideChannels
  /** Awaited before a setting is changed, with all that must be restored from then on. */
  onChange?: (undo: SettingsUndo) => Promise<void>
}

export interface MigrationSide {
  /** User id of the guest's process, which must be able to create sockets. */
  readonly uid: number
  /** Properties that both QEMUs must agree on; fewer if an older QEMU lacks a command. */
  describe(): Promise<MachineDescription>
  /** Every new status of the migration in order, none twice in a row; all of them before `gone` resolves. */
  follow(listener: (news: MigrationNews) => void): void
  /**
   * Present if QEMU does not see `directory`: begins over one connection that QEMU is given over QMP, and resolves to
   * its other end. Takes the place of `begin`.
   */
  readonly beginApart?: (() => Promise<Endpoint>) | undefined
  progress(): Promise<MigrationProgress>
  state(): Promise<GuestState>
  /** Resolves when the guest's process has ended, whatever happens to the QMP connection. */
  readonly gone: Promise<Error>
  /**
   * Restores all changed settings, then hangs up. Never throws. Idempotent. Resolves to the settings that could not be
   * restored because a post-copy still runs or QEMU does not answer; undefined if there are none.
   */
  close(): Promise<SettingsUndo | undefined>
}

/** The source guest's side of a migration. One session at a time. */
export interface OutgoingMigration extends MigrationSide {
  /** The channels that its migration will have, or has; `count`: the number that the operator asks for, if any. */
  channels(options: { mode: MigrationMode; count: number | undefined }): Promise<BesideChannels>
  /**
   * Changes the settings that a handoff needs (return-path, higher bandwidth ...) after all checks passed.
   * Throws PagemeshError `guest-not-movable` with the reason and the remedy.
   */
  prepare(options: PrepareOptions & { maxDowntimeMs?: number }): Promise<void>
  /** Tells QEMU to write its stream to the UNIX socket at `socketPath`. */
  begin(socketPath: string): Promise<void>
  startPostcopy(): Promise<void>
  /** Allows QEMU to stop the guest for as long as the rest takes: pre-copy then ends after its present pass. */
  allowPause(): Promise<void>
  /** Resumes a broken post-copy (`postcopy-paused`) over a new socket. Needs no `prepare`. */
  resume(socketPath: string): Promise<void>
  /**
   * Asks QEMU to give up; the status that `follow` reports decides. No error if no migration runs. Resolves to false
   * once QEMU hands its disks over: then it is not asked, and in pre-copy only a broken stream makes it give up.
   */
  cancel(): Promise<boolean>
  /**
   * Lets the guest go on here after a completed migration, in its run state at switchover (`runState`). Only if the
   * destination promised never to run its copy. Resolves to the new state; throws `guest-cannot-run`.
   */
  takeBack(runState: GuestState): Promise<GuestState>
}

/** The destination guest's side: a QEMU that waits with `-incoming defer`. */
export interface IncomingMigration extends MigrationSide {
  /**
   * Looks whether `prepare` would refuse, with the same errors, which call this end `host`. Leaves nothing changed.
   */
  check(options: { mode: MigrationMode; beside?: BesideChannels; host?: string }): Promise<void>
  /**
   * Sets what a handoff needs; from then on QEMU never starts the guest by itself.
   * Throws PagemeshError `no-waiting-guest` if it does not wait for a migration, and others of `check`.
   */
  prepare(options: PrepareOptions): Promise<void>
  /**
   * Tells QEMU to listen on the UNIX socket at `socketPath`; resolves when it accepts connections. Call it once the
   * source's stream has begun: after one connection QEMU waits for no other.
   */
  begin(socketPath: string): Promise<void>
  /** Resumes a broken post-copy (`postcopy-paused`): listens for the rest on a new socket. Needs no `prepare`. */
  recover(socketPath: string): Promise<void>
  /**
   * Puts the arrived guest into its run state at switchover (`runState`): running, whatever -S says, or paused with its
   * disks activated. Resolves to the new state. Throws `guest-cannot-run` if QEMU refuses, for example because of a
   * locked disk, and `guest-not-loaded`; the copy then stays as it is.
   */
  release(runState: GuestState): Promise<GuestState>
  /**
   * Ends a copy; resolves when its process is gone. A QEMU that does not answer is killed, but only if its guest has
   * certainly not run. Throws `guest-runs` if the copy runs, `guest-silent` if QEMU does not answer and must not be
   * killed.
   */
  end(): Promise<void>
}
