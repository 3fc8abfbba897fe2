/**
 * Who tells QEMU to migrate, and learns what became of the guest: a port, one for each end of a handoff. The agents
 * themselves do it over QMP (`guest/`).
 *
 * A driver only asks and tells: the conversation decides. What it tells comes in the order in which it happened.
 */
import type { RunState } from '../conversation/index.ts'
import type { BesideChannels, GuestState, MachineDescription, MigrationProgress } from '../guest/index.ts'
import type { Endpoint } from '../net/endpoint.ts'

export interface Driver {
  /** A post-copy that was cut goes on: nothing is prepared, and QEMU is told to resume. */
  rejoins: boolean
  /** The channels beside the main one: known at the source once it is prepared, told to the destination before. */
  beside: BesideChannels
  /** Where the channels of this end's QEMU are met, in the order in which QEMU opens them. */
  channels(signal: AbortSignal): AsyncIterable<Endpoint>
  /** What the guest is doing now. */
  state(): Promise<GuestState>
  /** The same, once the guest is doing anything: after a migration that failed it needs a moment to go on. */
  stateAtRest(): Promise<GuestState>
  /** What QEMU says of its migration and of the guest. */
  look(): Promise<{ status: string; state: GuestState }>
  /** The same, or `otherwise` where QEMU is there and does not answer. */
  lookOr(otherwise: { status: string; state: GuestState }): Promise<{ status: string; state: GuestState }>
  /** Lets the guest's QEMU go; nothing of it stays changed. What needs it again opens it again. Idempotent. */
  close(): Promise<void>
  /** Watches the guest no more. */
  stop(): void
}

export interface OutgoingDriver extends Driver {
  /** Makes QEMU ready to migrate, or sees that it waits to be resumed. Resolves to what the other end compares. */
  prepare(): Promise<MachineDescription>
  startPostcopy(): Promise<void>
  /** Asks QEMU to give up; what it then says is news. */
  cancel(): Promise<void>
  /** Lets the guest go on here, as it was at switchover. */
  takeBack(runState: RunState): Promise<void>
  /** Where QEMU's migration stands; undefined while QEMU is not held. */
  progress(): Promise<MigrationProgress | undefined>
}

export interface IncomingDriver extends Driver {
  /** Compares the machines and looks at whatever can be known beforehand; changes nothing for good. */
  check(source: MachineDescription, hosts: { source: string; destination: string }): Promise<void>
  /** Makes QEMU ready; from now on it never starts the guest by itself. */
  prepare(): Promise<void>
  /** Makes the guest what it was at switchover; resolves to what it is. */
  release(runState: GuestState): Promise<GuestState>
  /** Ends the copy; resolves when it is no more. */
  end(): Promise<void>
}
