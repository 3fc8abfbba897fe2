/** What the outgoing end of a conversation may be, be told and do: the vocabulary of `outgoingstep.ts`. */
import type { GuestState } from '../guest/index.ts'
import type {
  CopyNews, IncomingMessage, Link, OutgoingMessage, Plan, Reason, RunState, Verdict, Wait,
} from './conversation.ts'
import type { IncomingSummary } from './summary.ts'

/** What is known while the source QEMU has not decided. */
export interface Moving {
  link: Link
  copy: 'unknown' | 'whole' | 'broken'
  /** As the stream tells it at switchover. */
  runState: RunState
  /** QEMU said `cancelling`: the guest may go on here at any moment, even if QEMU dies before it can say so. */
  isCancelling: boolean
}

/** Why this host may say `given up`; `torn`: the source QEMU died during post-copy. */
export type LeavingCause = 'completed' | 'dead' | 'postcopy' | 'torn'

export type OutgoingState =
  | { at: 'idle'; plan: Plan }
  | { at: 'preparing' | 'offering' | 'linking' | 'listing' | 'starting'; plan: Plan }
  | ({ at: 'moving' } & Moving)
  /** Post-copy: QEMU is switching over. It is not cancelled any more; it may still fail, and then it goes on itself. */
  | ({ at: 'handingOver' } & Moving)
  /** QEMU was asked to give up. */
  /** `isWish`: nothing is wrong, somebody only wants it. */
  | ({ at: 'stopping'; reason: Reason; isWish: boolean } & Moving)
  /**
   * QEMU's process ended before it was known to have completed: the destination's copy decides, unless the guest may
   * have gone on here before, for then that copy may be older than the guest's disks.
   */
  | ({ at: 'orphaned'; reason: Reason; mayHaveGoneOn: boolean } & Moving)
  /** The source gave the guest up, and waits to hear that it arrived. `unconfirmed`: the result was told without it. */
  | { at: 'leaving' | 'unconfirmed'; cause: LeavingCause; link: Link; runState: RunState }
  /** The destination promised never to run its copy: the source QEMU is told to go on. */
  | { at: 'takingBack'; reason: Reason; copy: 'unfit' | 'broken'; link: Link; runState: RunState }
  /** Post-copy: the guest runs there, the rest of its memory follows. */
  | { at: 'serving'; link: Link; runState: RunState }
  /** Post-copy, broken: both QEMUs wait to be resumed. The QEMU's session stays open, for there is news to be heard. */
  | { at: 'cut'; runState: RunState }
  | { at: 'over'; ending: OutgoingEnding }

/** The result. One that leaves something open may be followed by another. */
export type OutgoingEnding =
  | { as: 'estimated' }
  | { as: 'completed'; state: GuestState; summary: IncomingSummary | undefined }
  /** The source keeps the guest; nothing was decided against its operator. */
  | { as: 'kept'; reason: Reason }
  /** Given up, and nobody has confirmed yet that it arrived: the destination holds it and asks. */
  | { as: 'unconfirmed' }
  /** Nobody runs the guest, and no end may let its copy run by itself: the operator decides. */
  | { as: 'held'; reason: Reason }
  /** Post-copy was cut: `recover` goes on. */
  | { as: 'cut'; reason: Reason }
  /** No whole copy is left. */
  | { as: 'lost'; reason: Reason }
  /** Whether the source keeps the guest is not known: its QEMU does not say, or died and may have gone on before. */
  | { as: 'undecided'; reason: Reason }
  /** The source QEMU has died, and the destination did not say whether its copy is whole: if it is, it is the guest. */
  | { as: 'orphaned'; reason: Reason }

export type OutgoingEvent =
  | { kind: 'begin' }
  | { kind: 'prepared' | 'accepted' | 'linked' }
  /** QEMU's stream has begun; after that, a channel beside it is there. */
  | { kind: 'begun' }
  /** Something that was asked of this end's own world did not work. */
  | { kind: 'failed'; what: 'prepare' | 'offer' | 'link' | 'start' | 'passage' | 'postcopy'; reason: Reason }
  | { kind: 'message'; message: IncomingMessage }
  | { kind: 'linkLost'; reason: Reason }
  /** The stream tells the run state at switchover. */
  | { kind: 'switchover'; runState: GuestState }
  /** Post-copy: behind the package more of the stream came, so QEMU cannot go back. */
  | { kind: 'handedOver' }
  /** What QEMU says of its migration. */
  | { kind: 'qemu'; status: string; error?: string }
  /** QEMU's process has ended. `wasHeard`: its QMP was connected to the end, so whatever it said has been told. */
  | { kind: 'gone'; reason: Reason; wasHeard: boolean }
  | { kind: 'cancel'; reason: Reason }
  | { kind: 'late'; wait: Wait }
  | { kind: 'takenBack' }
  | { kind: 'notTakenBack'; reason: Reason }
  /** The destination's host asks over a stream of its own, and says what its copy is. */
  | { kind: 'asked'; copy: CopyNews }
  | { kind: 'rejoin' }

export type OutgoingEffect =
  /** Census, swap and the like stand back, or go on. */
  | { do: 'standBack' | 'goOn' }
  /** Opens the QEMU's session and prepares it; for a rejoin it must be paused in post-copy. */
  | { do: 'prepare' }
  | { do: 'offer' }
  /** Says hello and sends the census. */
  | { do: 'greet' }
  | { do: 'useBitmap'; body: Buffer }
  | { do: 'addFetched'; body: Buffer }
  | { do: 'say'; message: OutgoingMessage }
  /** Tells QEMU to migrate, or to go on with its post-copy; its first bytes make `begun`. */
  | { do: 'start'; resume: boolean }
  | { do: 'startPostcopy' }
  /** Offers a lane for the next channel that is there and lets its passage run. */
  | { do: 'openChannel' }
  /** Asks QEMU to give up; a QEMU whose post-copy is paused is not asked, for it could never go on again. */
  | { do: 'cancelQemu' }
  | { do: 'takeBack'; runState: RunState }
  | { do: 'stopPassages' }
  /** After all that was said. `reason`: the other end said something out of place. */
  | { do: 'closeLink'; reason?: Reason }
  /** Puts QEMU's settings back, as soon as it allows that, and closes its session. */
  | { do: 'closeDriver' }
  /** Writes down. With `isFirst` nothing else is done before it is written. */
  | { do: 'record'; as: OutgoingRecordedAs; runState: RunState; isFirst: boolean }
  /** Nothing else is done before it is forgotten: what was said of it must not come back after a restart. */
  | { do: 'forget' }
  | { do: 'answer'; verdict: Verdict }
  | { do: 'wait'; wait: Wait }
  | { do: 'deliver'; ending: OutgoingEnding }

/** What is written down of a handoff, so that this host can answer for it after a restart. */
export type OutgoingRecordedAs = 'moving' | 'given-up' | 'taking-back' | 'held' | 'kept' | 'cut' | 'orphaned'

export interface OutgoingStep {
  state: OutgoingState
  effects: OutgoingEffect[]
}

export type OutgoingAt<At extends OutgoingState['at']> = Extract<OutgoingState, { at: At }>
export type Greeting = OutgoingAt<'preparing' | 'offering' | 'linking' | 'listing' | 'starting'>
export type Undecided = OutgoingAt<'moving' | 'handingOver' | 'stopping' | 'orphaned'>

/** Messages that a state takes; any other breaks the connection. */
export const OUTGOING_EXPECTS: Record<OutgoingState['at'], readonly IncomingMessage['kind'][]> = {
  idle: [], preparing: [], offering: [], linking: [], cut: [], over: [],
  listing: ['bitmap', 'trouble', 'broken'],
  starting: ['fetched', 'trouble', 'broken'],
  moving: ['fetched', 'trouble', 'broken', 'whole'],
  handingOver: ['fetched', 'trouble', 'broken', 'whole'],
  stopping: ['fetched', 'trouble', 'broken', 'whole'],
  orphaned: ['fetched', 'trouble', 'broken', 'whole'],
  leaving: ['fetched', 'trouble', 'whole', 'arrived', 'unfit', 'broken', 'fell'],
  unconfirmed: [],
  takingBack: ['fetched', 'trouble', 'broken'],
  serving: ['fetched', 'trouble', 'whole', 'arrived', 'unfit', 'broken', 'fell'],
}
