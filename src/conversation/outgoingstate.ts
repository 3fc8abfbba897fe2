/** States, events and effects of a conversation's outgoing end; `outgoingstep.ts` has the transitions. */
import type { GuestState } from '../guest/index.ts'
import type {
  CopyNews, Hastening, IncomingMessage, Link, OutgoingMessage, Plan, Reason, RunState, Verdict, Wait,
} from './conversation.ts'
import type { IncomingSummary } from './summary.ts'

/** Data of the states in which the source QEMU has not decided. */
export interface Moving {
  link: Link
  copy: 'unknown' | 'whole' | 'broken'
  /** As the stream reports it at switchover. */
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
  /** Post-copy: QEMU is switching over. It can no longer be cancelled; if it fails, the guest goes on here. */
  | ({ at: 'handingOver' } & Moving)
  /** QEMU was asked to give up. `isWish`: because of a cancel, not of a failure. */
  | ({ at: 'stopping'; reason: Reason; isWish: boolean } & Moving)
  /**
   * QEMU's process ended before it was known to have completed: the destination's copy decides. If the guest may have
   * gone on here before, it does not, because that copy may be older than the guest's disks.
   */
  | ({ at: 'orphaned'; reason: Reason; mayHaveGoneOn: boolean } & Moving)
  /** The source gave the guest up and awaits its arrival. `unconfirmed`: the result was reported without it. */
  | { at: 'leaving' | 'unconfirmed'; cause: LeavingCause; link: Link; runState: RunState }
  /** The destination promised never to run its copy: the source QEMU is told to go on. */
  | { at: 'takingBack'; reason: Reason; copy: 'unfit' | 'broken'; link: Link; runState: RunState }
  /** Post-copy: the guest runs at the destination, and the rest of its memory follows. */
  | { at: 'serving'; link: Link; runState: RunState }
  /** Post-copy broke: both QEMUs wait to be resumed. The QMP session stays open for news. */
  | { at: 'cut'; runState: RunState }
  | { at: 'over'; ending: OutgoingEnding }

/** The result. One that leaves a question open may be followed by another. */
export type OutgoingEnding =
  | { as: 'estimated' }
  | { as: 'completed'; state: GuestState; summary: IncomingSummary | undefined }
  /** The source keeps the guest. */
  | { as: 'kept'; reason: Reason }
  /** Given up, but the arrival is not confirmed: the destination holds its copy and asks. */
  | { as: 'unconfirmed' }
  /** The guest does not run, and neither end may let its copy run: the operator decides. */
  | { as: 'held'; reason: Reason }
  /** Post-copy was cut: `recover` resumes it. */
  | { as: 'cut'; reason: Reason }
  /** No whole copy is left. */
  | { as: 'lost'; reason: Reason }
  /** Unknown whether the source keeps the guest: QEMU does not say, or died after the guest may have gone on here. */
  | { as: 'undecided'; reason: Reason }
  /** The source QEMU has died, and the destination has not said whether its copy is whole. If so, it is the guest. */
  | { as: 'orphaned'; reason: Reason }

export type OutgoingEvent =
  | { kind: 'begin' }
  | { kind: 'prepared' | 'accepted' | 'linked' }
  /** QEMU's stream has begun; later, another channel was opened. */
  | { kind: 'begun' }
  /** An effect failed. */
  | { kind: 'failed'; what: 'prepare' | 'offer' | 'link' | 'start' | 'passage' | 'postcopy' | 'pause'; reason: Reason }
  | { kind: 'message'; message: IncomingMessage }
  | { kind: 'linkLost'; reason: Reason }
  /** The stream reports the run state at switchover. */
  | { kind: 'switchover'; runState: GuestState }
  /** Post-copy: more of the stream came after the package, so QEMU cannot go back. */
  | { kind: 'handedOver' }
  /** QEMU's migration status. */
  | { kind: 'qemu'; status: string; error?: string }
  /** QEMU's process has ended. `wasHeard`: QMP was connected until then, so no status was missed. */
  | { kind: 'gone'; reason: Reason; wasHeard: boolean }
  | { kind: 'cancel'; reason: Reason }
  /** Pre-copy has taken its time. */
  | { kind: 'hasten'; by: Hastening }
  | { kind: 'late'; wait: Wait }
  | { kind: 'takenBack' }
  | { kind: 'notTakenBack'; reason: Reason }
  /** The destination's host asks over a separate stream, and reports its copy. */
  | { kind: 'asked'; copy: CopyNews }
  | { kind: 'rejoin' }

export type OutgoingEffect =
  /** Pauses or resumes background work, such as census and swap. */
  | { do: 'standBack' | 'goOn' }
  /** Opens the QEMU's session and prepares it; for a rejoin it must be paused in post-copy. */
  | { do: 'prepare' }
  | { do: 'offer' }
  /** Says hello and sends the census. */
  | { do: 'greet' }
  | { do: 'useBitmap'; body: Buffer }
  | { do: 'addFetched'; body: Buffer }
  | { do: 'say'; message: OutgoingMessage }
  /** Tells QEMU to migrate, or to resume its post-copy; its first bytes cause `begun`. */
  | { do: 'start'; resume: boolean }
  | { do: 'startPostcopy' }
  /** Allows QEMU to stop the guest for as long as the rest takes. */
  | { do: 'allowPause' }
  /** Offers a lane for the next channel that QEMU opened, and starts its passage. */
  | { do: 'openChannel' }
  /** Asks QEMU to give up; not in a paused post-copy, which could then never be resumed. */
  | { do: 'cancelQemu' }
  | { do: 'takeBack'; runState: RunState }
  | { do: 'stopPassages' }
  /** After all messages were sent. `reason`: the other end sent an unexpected message. */
  | { do: 'closeLink'; reason?: Reason }
  /** Restores QEMU's settings as soon as it allows that, and closes its session. */
  | { do: 'closeDriver' }
  /** Writes the record. With `isFirst` the next effect waits until it is on disk. */
  | { do: 'record'; as: OutgoingRecordedAs; runState: RunState; isFirst: boolean }
  /** Deletes the record; the next effect waits for that, because after a restart the record would no longer be true. */
  | { do: 'forget' }
  | { do: 'answer'; verdict: Verdict }
  | { do: 'wait'; wait: Wait }
  | { do: 'deliver'; ending: OutgoingEnding }

/** States that are recorded on disk, so that a restarted agent can answer for the handoff. */
export type OutgoingRecordedAs = 'moving' | 'given-up' | 'taking-back' | 'held' | 'kept' | 'cut' | 'orphaned'

export interface OutgoingStep {
  state: OutgoingState
  effects: OutgoingEffect[]
}

export type OutgoingAt<At extends OutgoingState['at']> = Extract<OutgoingState, { at: At }>
export type Greeting = OutgoingAt<'preparing' | 'offering' | 'linking' | 'listing' | 'starting'>
export type Undecided = OutgoingAt<'moving' | 'handingOver' | 'stopping' | 'orphaned'>

/** Messages that each state accepts; any other ends the connection. */
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
