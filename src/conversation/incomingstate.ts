/** States, events and effects of a conversation's incoming end; `incomingstep.ts` has the transitions. */
import type { GuestState } from '../guest/index.ts'
import type {
  CopyNews, IncomingMessage, Link, OutgoingMessage, Reason, RunState, Verdict, Wait,
} from './conversation.ts'

export type IncomingState =
  | { at: 'idle'; plan: IncomingPlan }
  | { at: 'checking' | 'linking' | 'greeting' | 'listing'; plan: IncomingPlan }
  /** The bitmap was sent: the source's stream may begin. */
  | { at: 'waiting'; plan: IncomingPlan; order: 'awaited' | 'taken' }
  /** The stream flows into this host's QEMU. */
  | { at: 'loading'; mode: Mode; runState: RunState }
  /** The source gave the guest up before this QEMU reported that its copy is whole. */
  | { at: 'finishing'; link: Link; runState: RunState }
  /**
   * This end closed QEMU's connection; QEMU then says whether its copy is whole. `askCount`: number of questions to the
   * source's host without a verdict.
   */
  | { at: 'breaking'; reason: Reason; link: Link; runState: RunState; isKept: boolean; askCount: number }
  /** This host holds the whole guest, paused, and waits for the source's verdict. */
  | { at: 'loaded'; runState: RunState }
  /** As `loaded`, but without a connection: it asks the source's host. `copy` is what it reports with each question. */
  | { at: 'holding'; why: Reason; link: Link; runState: RunState; copy: Extract<CopyNews, { kind: 'whole' | 'unfit' }> }
  /** QEMU is putting the guest into its run state at switchover. */
  | { at: 'releasing'; link: Link; runState: RunState; memory: Memory }
  /** The copy is being ended, because the source's host keeps the guest or the operator decided so. */
  | { at: 'ending'; reason: Reason; runState: RunState; isSettled: boolean; isTold: boolean }
  /** Post-copy: the guest is released, and the rest of its memory is arriving. */
  | { at: 'serving'; state: GuestState; memory: Exclude<Memory, 'whole'> }
  /**
   * Post-copy broke: QEMU waits to be resumed; its QMP session stays open. `state`: set once the guest is released.
   * `isTorn`: nothing can resume it, for the source QEMU has ended.
   */
  | { at: 'cut'; runState: RunState; state: GuestState | undefined; why: Reason; isTorn: boolean }
  /** The copy's fate is reported to the source's host until it answers. */
  | { at: 'telling'; copy: CopyNews; ending: IncomingEnding }
  | { at: 'over'; ending: IncomingEnding }

export type Mode = 'precopy' | 'postcopy'

/** The guest's memory here: whole, or in post-copy the rest is coming, its channel is awaited, or it was cut. */
export type Memory = 'whole' | 'coming' | 'awaited' | 'cut'

export type IncomingPlan =
  | { kind: 'move'; mode: Mode }
  | { kind: 'dryRun' }
  /** `state`: the guest's state when post-copy was cut; undefined if it was not released. */
  | { kind: 'rejoin'; runState: RunState; state: GuestState | undefined }

/** The result. One that leaves a question open may be followed by another. */
export type IncomingEnding =
  | { as: 'estimated' }
  | { as: 'arrived'; state: GuestState }
  /** No whole copy was here. If the stream had not begun, QEMU goes on waiting. */
  | { as: 'failed'; reason: Reason }
  /** A whole copy is here, paused until the source's host or the operator decides. */
  | { as: 'held'; reason: Reason }
  /** Post-copy was cut. */
  | { as: 'cut'; reason: Reason }
  /** QEMU does not say what became of its copy. It is still watched; its answer will be reported. */
  | { as: 'unanswered'; reason: Reason }
  /** A whole copy was ended, because the source's host kept the guest or the operator said so. */
  | { as: 'ended'; reason: Reason }
  /** The guest's QEMU ended when or after it was let run. */
  | { as: 'fell'; reason: Reason }

export type IncomingEvent =
  | { kind: 'begin' }
  | { kind: 'checked' | 'linked' }
  | { kind: 'failed'; what: 'check' | 'link' | 'channel' | 'passage'; reason: Reason }
  | { kind: 'message'; message: OutgoingMessage }
  | { kind: 'linkLost'; reason: Reason }
  /** QEMU's migration status; with `completed`, also the guest's state. */
  | { kind: 'qemu'; status: string; error?: string; state?: GuestState }
  | { kind: 'gone'; reason: Reason }
  | { kind: 'released'; state: GuestState }
  | { kind: 'notReleased'; reason: Reason }
  | { kind: 'ended' }
  | { kind: 'notEnded'; reason: Reason }
  /** `asked`: what was reported with the question, for the answer to an earlier one may come late. */
  | { kind: 'answered'; asked: CopyNews['kind']; verdict: Verdict }
  | { kind: 'late'; wait: Wait }
  /** The operator decides for a held copy. */
  | { kind: 'settle'; decision: 'run' | 'end' }
  /** The agent stops: a copy that is not whole is given up. */
  | { kind: 'stop'; reason: Reason }
  /** The outgoing end wants to resume a cut post-copy. */
  | { kind: 'rejoin' }

export type IncomingEffect =
  | { do: 'standBack' | 'goOn' }
  /** Finds the waiting guest, compares the machines, prepares its QEMU; for a rejoin it must be paused in post-copy. */
  | { do: 'check' }
  | { do: 'accept' }
  | { do: 'refuse'; reason: Reason }
  /** Dials the conversation's lane. */
  | { do: 'link' }
  /** Looks up which pages are here and sends the bitmap. */
  | { do: 'answerCensus'; body: Buffer }
  | { do: 'fetch'; order: Buffer }
  | { do: 'say'; message: IncomingMessage }
  /** Dials the passage's lane, tells QEMU to listen (or to recover), connects to it and starts the passage. */
  | { do: 'openChannel'; message: Extract<OutgoingMessage, { kind: 'channel' }>; recover: boolean }
  | { do: 'release'; runState: GuestState }
  | { do: 'endCopy' }
  | { do: 'stopPassages' }
  /** After all messages were sent. `reason`: the other end sent an unexpected message. */
  | { do: 'closeLink'; reason?: Reason }
  /** Restores QEMU's settings as soon as it allows that, and closes its session. */
  | { do: 'closeDriver' }
  /** Writes the record. With `isFirst` the next effect waits until it is on disk. */
  | { do: 'record'; as: IncomingRecordedAs; runState: RunState; isFirst: boolean }
  /** Deletes the record; the next effect waits for that, because after a restart the record would no longer be true. */
  | { do: 'forget' }
  /** Reports the copy to the source's host over a separate stream; causes `answered`, or no event if it fails. */
  | { do: 'ask'; copy: CopyNews }
  | { do: 'wait'; wait: Wait }
  | { do: 'deliver'; ending: IncomingEnding }
  /** Over only now, after its ending was delivered: nothing of it is needed any more. */
  | { do: 'dismiss' }

/** States that are recorded on disk, so that a restarted agent still knows of the copy. */
export type IncomingRecordedAs = 'loading' | 'loaded' | 'unfit' | 'broken' | 'arrived' | 'cut'

export interface IncomingStep {
  state: IncomingState
  effects: IncomingEffect[]
}

export type IncomingAt<At extends IncomingState['at']> = Extract<IncomingState, { at: At }>

/** Messages that each state accepts; any other ends the connection. */
export const INCOMING_EXPECTS: Record<IncomingState['at'], readonly OutgoingMessage['kind'][]> = {
  idle: [], checking: [], linking: [], cut: [], telling: [], over: [],
  greeting: ['hello'],
  listing: ['census'],
  waiting: ['order', 'channel', 'givenUp', 'kept'],
  loading: ['channel', 'switchover', 'givenUp', 'kept'],
  finishing: ['switchover'],
  breaking: ['channel', 'switchover', 'givenUp', 'kept'],
  loaded: ['switchover', 'givenUp', 'kept'],
  holding: ['kept'],
  releasing: ['channel', 'switchover'],
  ending: [],
  serving: ['channel', 'switchover'],
}
