/**
 * The conversation of a handoff: what its two ends say to each other beside the pages, and what each may conclude.
 *
 * Goals: no guest is ever lost. At most one copy runs; the destination's is let run only after the source's host said
 * given up, and ended only after it said kept; a lost connection, a cancel or a dead agent proves nothing.
 * Non-goals: pages (`passage/`), how a QEMU is told what to do (`driver.ts`).
 *
 *   outgoing                                      incoming
 *      | offer ---------------------------------------> |  compares the machines, prepares its QEMU
 *      | <------------------------- accepted | refused  |  dials the conversation's lane
 *      | hello, census ------------------------------>  |
 *      | <------------------------------------- bitmap  |
 *      | order -------------------------------------->  |  fetches from other hosts; `fetched` tells what came
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
 * Without a connection the incoming end asks (`asked`, `answered`) over streams of its own, telling what its copy is,
 * until it is answered. What an end promises is written down before it is said, so that a restarted agent keeps to it.
 */
import type { GuestState } from '../guest/index.ts'
import type { LaneTicket } from '../mesh/index.ts'
import type { ErrorCode, Fault } from '../runtime/errors.ts'
import type { IncomingSummary } from './summary.ts'

/** The guest's run state at switchover; unknown where neither the stream nor a record tells it. */
export type RunState = GuestState | 'unknown'

/** Why something ended, as data: what a PagemeshError says. */
export interface Reason {
  code: ErrorCode
  message: string
  fault: Fault
  advice?: string
}

/** What the source's host says of its copy. Only `given-up` lets the other copy run, only `kept` lets it be ended. */
export type Verdict =
  | { verdict: 'given-up'; runState: RunState }
  | { verdict: 'kept' }
  /** It is not decided yet: ask again. */
  | { verdict: 'pending' }
  /** This host does not know and never will. */
  | { verdict: 'unknown' }

/** What the destination's host says of its copy. */
export type CopyNews =
  /** It holds the whole guest, paused. */
  | { kind: 'whole' }
  /** It is as it was at the source at switchover. */
  | { kind: 'arrived'; state: GuestState; summary: IncomingSummary | undefined }
  /** It is whole but cannot run; it never ran and will not, unless an operator says so. */
  | { kind: 'unfit'; reason: string }
  /** Post-copy was cut before it was let run: it has a part of the guest's memory, and it is paused. */
  | { kind: 'partial' }
  /** Its QEMU does not say what it has; it was not let run. */
  | { kind: 'unsaid' }
  /** It is no whole copy and never will be; it never ran. */
  | { kind: 'broken'; reason: string }
  /** It ended, and it may have run before. */
  | { kind: 'fell'; reason: string }

/** What is only told over a stream of its own. */
export type AskingNews = Extract<CopyNews, { kind: 'partial' | 'unsaid' }>

export type OutgoingMessage =
  | { kind: 'hello'; id: string }
  | { kind: 'census'; body: Buffer }
  | { kind: 'order'; body: Buffer }
  | { kind: 'channel'; number: number; ticket: LaneTicket }
  | { kind: 'switchover'; runState: RunState }
  | { kind: 'givenUp'; runState: RunState }
  | { kind: 'kept'; reason: string }

export type IncomingMessage =
  | { kind: 'bitmap'; body: Buffer }
  | { kind: 'fetched'; body: Buffer }
  | { kind: 'trouble'; reason: string }
  | Exclude<CopyNews, AskingNews>

/** What the handoff is about: a guest is moved, nothing is moved, or a post-copy that was cut goes on. */
export type Plan =
  | { kind: 'move'; mode: 'precopy' | 'postcopy' }
  | { kind: 'dryRun' }
  | { kind: 'rejoin'; runState: RunState }

export type Link = 'up' | 'lost'

/** Waits with a limit; each has its own in LIMITS_MS. */
export type Wait = keyof typeof LIMITS_MS

export const LIMITS_MS = {
  /** Until the other host answered the offer: it compares machines and prepares its QEMU meanwhile. */
  offer: 20_000,
  link: 8000,
  /** Until the greeting has come; a census may be large. */
  greeting: 60_000,
  /** From QEMU's order to migrate until its stream begins. */
  begin: 15_000,
  /** Until the outgoing end has begun its stream. */
  channel: 60_000,
  /** Between two requests to a QEMU that does not answer a cancel. */
  giveUp: 5000,
  /** From then on until this end rests without knowing; the answer is asked for later. */
  undecided: 30_000,
  /** From the source's end until the destination says that the guest is as it should be. */
  confirm: 30_000,
  /** Until a source that died is known to have left a whole copy or none. */
  orphan: 60_000,
  /** From closing its connection until the destination QEMU says whether it is whole. */
  break: 30_000,
  /** From the source's word that it keeps the guest until a broken copy must have ended by itself. */
  abandon: 3000,
  /** Between two questions to the source's host. */
  ask: 2000,
} as const
