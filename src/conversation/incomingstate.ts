/** What the incoming end of a conversation may be, be told and do: the vocabulary of `incomingstep.ts`. */
import type { GuestState } from '../guest/index.ts'
import type {
  CopyNews, IncomingMessage, Link, OutgoingMessage, Reason, RunState, Verdict, Wait,
} from './conversation.ts'

export type IncomingState =
  | { at: 'idle'; plan: IncomingPlan }
  | { at: 'checking' | 'linking' | 'greeting' | 'listing'; plan: IncomingPlan }
  /** The bitmap was said: the source's stream may begin. */
  | { at: 'waiting'; plan: IncomingPlan; order: 'awaited' | 'taken' }
  /** The stream runs into this host's QEMU. */
  | { at: 'loading'; mode: Mode; runState: RunState }
  /** The source gave the guest up before this QEMU said that it has it all. */
  | { at: 'finishing'; link: Link; runState: RunState }
  /**
   * The connection is closed from here; the QEMU's word decides whether the copy is whole. `askCount`: how often the
   * source's host was asked, where it cannot tell what it decides.
   */
  | { at: 'breaking'; reason: Reason; link: Link; runState: RunState; isKept: boolean; askCount: number }
  /** This host holds the whole guest, paused, and waits for the source's verdict. */
  | { at: 'loaded'; runState: RunState }
  /** As `loaded`, but without a connection: it asks. `copy` is what it says of the guest when it asks. */
  | { at: 'holding'; why: Reason; link: Link; runState: RunState; copy: Extract<CopyNews, { kind: 'whole' | 'unfit' }> }
  /** The guest is being let run, or made what it was. */
  | { at: 'releasing'; link: Link; runState: RunState; memory: Memory }
  /** The copy is being ended: the source's host keeps the guest, or the operator decided so. */
  | { at: 'ending'; reason: Reason; runState: RunState; isSettled: boolean; isTold: boolean }
  /** Post-copy: it is as it was, and the rest of its memory comes. */
  | { at: 'serving'; state: GuestState; memory: Exclude<Memory, 'whole'> }
  /** Post-copy, broken: its QEMU waits to be resumed. `state` once it was released. Its session stays open for news. */
  | { at: 'cut'; runState: RunState; state: GuestState | undefined; why: Reason }
  /** What became of the copy is told to the source's host until it answers. */
  | { at: 'telling'; copy: CopyNews; ending: IncomingEnding }
  | { at: 'over'; ending: IncomingEnding }

export type Mode = 'precopy' | 'postcopy'

/** The guest's memory here: all of it, or what post-copy has brought, with a channel for the rest or without. */
export type Memory = 'whole' | 'coming' | 'awaited' | 'cut'

export type IncomingPlan =
  | { kind: 'move'; mode: Mode }
  | { kind: 'dryRun' }
  /** `state`: what the guest was made before post-copy was cut; undefined while it was not released. */
  | { kind: 'rejoin'; runState: RunState; state: GuestState | undefined }

/** The result. One that leaves something open may be followed by another. */
export type IncomingEnding =
  | { as: 'estimated' }
  | { as: 'arrived'; state: GuestState }
  /** No whole copy was here; the waiting QEMU was left waiting where nothing had begun. */
  | { as: 'failed'; reason: Reason }
  /** A whole copy is here that does not run, until the source's host or the operator decides. */
  | { as: 'held'; reason: Reason }
  /** Post-copy was cut. */
  | { as: 'cut'; reason: Reason }
  /** The QEMU does not say what became of its copy. It is still waited for, and what it says then is told. */
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
  /** What QEMU says of its migration; with `completed`, what the guest is then. */
  | { kind: 'qemu'; status: string; error?: string; state?: GuestState }
  | { kind: 'gone'; reason: Reason }
  | { kind: 'released'; state: GuestState }
  | { kind: 'notReleased'; reason: Reason }
  | { kind: 'ended' }
  | { kind: 'notEnded'; reason: Reason }
  | { kind: 'answered'; verdict: Verdict }
  | { kind: 'late'; wait: Wait }
  /** The operator decides for a copy that is held. */
  | { kind: 'settle'; decision: 'run' | 'end' }
  /** The agent stops: what has not become a whole copy is given up. */
  | { kind: 'stop'; reason: Reason }
  /** The outgoing end wants to go on with a post-copy that was cut. */
  | { kind: 'rejoin' }

export type IncomingEffect =
  | { do: 'standBack' | 'goOn' }
  /** Finds the waiting guest, compares the machines, prepares its QEMU; for a rejoin it must be paused in post-copy. */
  | { do: 'check' }
  | { do: 'accept' }
  | { do: 'refuse'; reason: Reason }
  /** Dials the conversation's lane. */
  | { do: 'link' }
  /** Looks up what is here and says the bitmap. */
  | { do: 'answerCensus'; body: Buffer }
  | { do: 'fetch'; order: Buffer }
  | { do: 'say'; message: IncomingMessage }
  /** Dials the passage's lane, tells QEMU to listen (or to recover), connects to it, lets the passage run. */
  | { do: 'openChannel'; message: Extract<OutgoingMessage, { kind: 'channel' }>; recover: boolean }
  | { do: 'release'; runState: GuestState }
  | { do: 'endCopy' }
  | { do: 'stopPassages' }
  /** After all that was said. `reason`: the other end said something out of place. */
  | { do: 'closeLink'; reason?: Reason }
  /** Puts QEMU's settings back, as soon as it allows that, and closes its session. */
  | { do: 'closeDriver' }
  /** Writes down. With `isFirst` nothing else is done before it is written. */
  | { do: 'record'; as: IncomingRecordedAs; runState: RunState; isFirst: boolean }
  /** Nothing else is done before it is forgotten: what was said of it must not come back after a restart. */
  | { do: 'forget' }
  /** Tells the source's host what the copy is, over a stream of its own; makes `answered`, or nothing if it fails. */
  | { do: 'ask'; copy: CopyNews }
  | { do: 'wait'; wait: Wait }
  | { do: 'deliver'; ending: IncomingEnding }

/** What is written down of a handoff, so that its copy is not forgotten over a restart. */
export type IncomingRecordedAs = 'loading' | 'loaded' | 'unfit' | 'broken' | 'arrived' | 'cut'

export interface IncomingStep {
  state: IncomingState
  effects: IncomingEffect[]
}

export type IncomingAt<At extends IncomingState['at']> = Extract<IncomingState, { at: At }>

/** Messages that a state takes; any other breaks the connection. */
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
