/**
 * The conversation of a handoff: the messages between its two ends, apart from the pages, and what each may conclude.
 *
 * Goals: no guest is ever lost. At most one copy runs. The destination's copy is let run only after the source's host
 * said given up, and ended only after it said kept. A lost connection, a cancel or a dead agent proves nothing.
 * Non-goals: pages (`passage/`), commands to QEMU (`driver.ts`).
 *
 *   outgoing                                      incoming
 *      | offer ---------------------------------------> |  compares the machines, prepares its QEMU
 *      | <------------------------- accepted | refused  |  dials the conversation's lane
 *      | hello, census ------------------------------>  |
 *      | <------------------------------------- bitmap  |  and its public pages, if both agreed on them
 *      | order -------------------------------------->  |  fetches from other hosts; `fetched` tells which pages came
 *      | (QEMU is told to migrate; its stream begins)   |
 *      | channel (number, ticket) ------------------->  |  dials the passage's lane; only now connects to its QEMU
 *      |  ......... passages carry the stream ........  |
 *      | switchover (run state) --------------------->  |
 *      | <-------------------------------------- whole  |  its QEMU has loaded the guest; it is paused
 *      | (QEMU answers: completed | failed | cancelled) |
 *      | givenUp (run state) | kept (reason) -------->  |  lets it run | ends it
 *      | <------------- arrived | unfit | broken | fell |
 *      from the incoming end at any time: trouble (reason), please give up; only the source QEMU's answer decides
 *
 * Each end is a state value and a pure `step(state, event) -> { state, effects }`: outgoingstep.ts, incomingstep.ts.
 * The classes around them carry out effects. A message that a state does not expect ends the connection and names both.
 * Without a connection the incoming end asks (`asked`, `answered`) over separate streams, reporting its copy, until it
 * is answered. An end records a promise on disk before it makes it, so that a restarted agent keeps it.
 */
import type { GuestState } from '../guest/index.ts'
import type { LaneTicket } from '../mesh/index.ts'
import type { ErrorCode, Fault } from '../runtime/errors.ts'
import type { IncomingSummary } from './summary.ts'

/** The guest's run state at switchover; unknown if neither the stream nor a record tells it. */
export type RunState = GuestState | 'unknown'

/** Why something ended: the data of a PagemeshError. */
export interface Reason {
  code: ErrorCode
  message: string
  fault: Fault
  advice?: string
}

/** The source's verdict. Only `given-up` allows the destination to run its copy, and only `kept` to end it. */
export type Verdict =
  /** `isTorn`: its QEMU has ended during post-copy, and with it whatever memory the destination lacks. */
  | { verdict: 'given-up'; runState: RunState; isTorn?: true }
  | { verdict: 'kept' }
  /** Not decided yet: ask again. */
  | { verdict: 'pending' }
  /** The source's host does not know and never will. */
  | { verdict: 'unknown' }

/** The destination's report on its copy. */
export type CopyNews =
  /** It holds the whole guest, paused. */
  | { kind: 'whole' }
  /** It was released: it is in its run state at switchover. */
  | { kind: 'arrived'; state: GuestState; summary: IncomingSummary | undefined }
  /** It is whole but cannot run; it never ran, and will not unless an operator decides so. */
  | { kind: 'unfit'; reason: string }
  /** Post-copy was cut before it was released: it is paused and has a part of the guest's memory. */
  | { kind: 'partial' }
  /** Its QEMU does not say whether it is whole; it was not released. */
  | { kind: 'unsaid' }
  /** It never ran and never will be whole. */
  | { kind: 'broken'; reason: string }
  /** It ended, and it may have run before. */
  | { kind: 'fell'; reason: string }

/** Reports that are only sent over a separate stream. */
export type AskingNews = Extract<CopyNews, { kind: 'partial' | 'unsaid' }>

export type OutgoingMessage =
  | { kind: 'hello'; id: string }
  | { kind: 'census'; body: Buffer }
  | { kind: 'order'; body: Buffer }
  | { kind: 'channel'; number: number; ticket: LaneTicket }
  | { kind: 'switchover'; runState: RunState }
  /** `isWhole`: the source QEMU has completed, so the destination QEMU has everything, or is about to say so. */
  | { kind: 'givenUp'; runState: RunState; isWhole?: true }
  | { kind: 'kept'; reason: string }

export type IncomingMessage =
  | { kind: 'bitmap'; body: Buffer }
  | { kind: 'fetched'; body: Buffer }
  | { kind: 'trouble'; reason: string }
  | Exclude<CopyNews, AskingNews>

/**
 * What brings a pre-copy to its end that the guest's changes keep from it: post-copy, which both QEMUs must be prepared
 * for, or a pause of the guest for as long as the rest takes.
 */
export type Hastening = 'postcopy' | 'pause'

/**
 * Kind of handoff: move a guest, estimate only (dry run), or resume a cut post-copy. Post-copy begins with the stream
 * or, if `isLate`, only once it is to be hastened; `hastenedBy`: that was so before the stream began.
 */
export type Plan =
  | { kind: 'move'; mode: 'precopy' | 'postcopy'; isLate?: true; hastenedBy?: Hastening }
  | { kind: 'dryRun' }
  | { kind: 'rejoin'; runState: RunState }

export type Link = 'up' | 'lost'

/** Waits; each has its limit in LIMITS_MS. */
export type Wait = keyof typeof LIMITS_MS

export const LIMITS_MS = {
  /** Until the other host answers the offer: it compares machines and prepares its QEMU. */
  offer: 20_000,
  link: 8000,
  /** Until the greeting has arrived; a census may be large. */
  greeting: 60_000,
  /** From QEMU's order to migrate until its stream begins. */
  begin: 15_000,
  /** Until the outgoing end begins its stream. */
  channel: 60_000,
  /** Between two requests to a QEMU that does not answer a cancel. */
  giveUp: 5000,
  /** After that, until this end rests undecided; QEMU's answer is followed up later. */
  undecided: 30_000,
  /** From the end of the source's migration until the destination confirms that the guest is as it should be. */
  confirm: 30_000,
  /** After the source QEMU died, until the destination says whether its copy is whole. */
  orphan: 60_000,
  /** From closing its connection until the destination QEMU says whether its copy is whole. */
  break: 30_000,
  /** From the source's `kept` until a broken copy must have ended by itself. */
  abandon: 3000,
  /** Between two questions to the source's host. */
  ask: 2000,
} as const
