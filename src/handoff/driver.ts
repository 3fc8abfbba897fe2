/**
 * The driver interface: tells QEMU to migrate and learns the outcome. One driver for each end of a handoff; `guest/`
 * implements it over QMP.
 *
 * A driver only asks and reports, in order: the conversation decides.
 */
import type { RunState } from '../conversation/index.ts'
import type { BesideChannels, GuestState, MachineDescription, MigrationProgress } from '../guest/index.ts'
import type { Endpoint } from '../net/endpoint.ts'

export interface Driver {
  /** Resumes a cut post-copy: QEMU is told to resume instead of being prepared. */
  rejoins: boolean
  /** Channels besides main: at the source known after `prepare`, at the destination set before it. */
  beside: BesideChannels
  /** The channels of this end's QEMU, in the order in which QEMU opens them. */
  channels(signal: AbortSignal): AsyncIterable<Endpoint>
  /** The guest's run state. */
  state(): Promise<GuestState>
  /** The guest's run state once it has settled: after a failed migration the guest needs a moment to go on. */
  stateAtRest(): Promise<GuestState>
  /** QEMU's migration status and run state. */
  look(): Promise<{ status: string; state: GuestState }>
  /** As `look`, or `otherwise` if QEMU lives and does not answer. */
  lookOr(otherwise: { status: string; state: GuestState }): Promise<{ status: string; state: GuestState }>
  /** Restores QEMU's settings and closes its session; a later call opens it again. Idempotent. */
  close(): Promise<void>
  /** Ends the watch on the guest. */
  stop(): void
}

export interface OutgoingDriver extends Driver {
  /** Prepares QEMU, or checks that it waits to be resumed. Resolves to the description for the other end. */
  prepare(): Promise<MachineDescription>
  startPostcopy(): Promise<void>
  /** Allows QEMU to stop the guest for as long as the rest takes. */
  allowPause(): Promise<void>
  /** Asks QEMU to give up; its answer comes as news. */
  cancel(): Promise<void>
  /** Lets the guest go on here, in its run state at switchover. */
  takeBack(runState: RunState): Promise<void>
  /** State of QEMU's migration; undefined while no session is open. */
  progress(): Promise<MigrationProgress | undefined>
}

export interface IncomingDriver extends Driver {
  /** Compares the machines and checks all that can be checked beforehand; leaves nothing changed. */
  check(source: MachineDescription, hosts: { source: string; destination: string }): Promise<void>
  /** Prepares QEMU; from now on it never starts the guest by itself. */
  prepare(): Promise<void>
  /** Puts the guest into its run state at switchover; resolves to the new state. */
  release(runState: GuestState): Promise<GuestState>
  /** Ends the copy; resolves when its process is gone. */
  end(): Promise<void>
}
