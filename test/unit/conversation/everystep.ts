/** Samples of every state, message and event of both ends of a conversation, for what is tried with all of them. */
import {
  LIMITS_MS, type CopyNews, type IncomingMessage, type OutgoingMessage, type Plan, type Reason, type Verdict, type Wait,
} from '../../../src/conversation/conversation.ts'
import type { IncomingEvent, IncomingPlan, IncomingState } from '../../../src/conversation/incomingstate.ts'
import type { OutgoingEvent, OutgoingState } from '../../../src/conversation/outgoingstate.ts'

export const REASON: Reason = { code: 'unexpected', message: 'It is tried.', fault: 'host' }

const body = Buffer.from([1, 2, 3])
const waits = Object.keys(LIMITS_MS) as Wait[]
const runState = 'running' as const
const links = ['up', 'lost'] as const

export const COPY_NEWS: readonly CopyNews[] = [
  { kind: 'whole' }, { kind: 'partial' }, { kind: 'unsaid' }, { kind: 'arrived', state: 'running', summary: undefined },
  { kind: 'unfit', reason: 'no disk' }, { kind: 'broken', reason: 'its stream broke' },
  { kind: 'fell', reason: 'it died' },
]

export const INCOMING_MESSAGES: readonly IncomingMessage[] = [
  { kind: 'bitmap', body }, { kind: 'fetched', body }, { kind: 'trouble', reason: 'no room' },
  ...COPY_NEWS.filter((copy) => copy.kind !== 'partial' && copy.kind !== 'unsaid'),
]

export const OUTGOING_MESSAGES: readonly OutgoingMessage[] = [
  { kind: 'hello', id: 'a' }, { kind: 'census', body }, { kind: 'order', body },
  { kind: 'channel', number: 0, ticket: undefined as never },
  { kind: 'channel', number: 1, ticket: undefined as never }, { kind: 'switchover', runState: 'paused' },
  { kind: 'givenUp', runState }, { kind: 'givenUp', runState: 'unknown' },
  { kind: 'givenUp', runState, isWhole: true }, { kind: 'kept', reason: 'cancelled' },
]

const plans: readonly Plan[] = [
  { kind: 'move', mode: 'precopy' }, { kind: 'move', mode: 'postcopy' }, { kind: 'dryRun' },
  { kind: 'move', mode: 'postcopy', isLate: true },
  { kind: 'move', mode: 'postcopy', isLate: true, hastenedBy: 'postcopy' },
  { kind: 'move', mode: 'precopy', hastenedBy: 'pause' },
  { kind: 'rejoin', runState },
]

const moving = links.flatMap((link) => (['unknown', 'whole', 'broken'] as const).flatMap((copy) =>
  [false, true].map((isCancelling) => ({ link, copy, runState, isCancelling }))))

export const OUTGOING_STATES: readonly OutgoingState[] = [
  ...plans.flatMap((plan) => (['idle', 'preparing', 'offering', 'linking', 'listing', 'starting'] as const)
    .filter((at) => at !== 'starting' || plan.kind !== 'dryRun')
    .map((at): OutgoingState => ({ at, plan }))),
  ...moving.flatMap((each): OutgoingState[] => [
    { at: 'moving', ...each }, { at: 'handingOver', ...each },
    { at: 'stopping', isWish: true, reason: REASON, ...each },
    { at: 'stopping', isWish: false, reason: REASON, ...each },
    { at: 'orphaned', reason: REASON, mayHaveGoneOn: false, ...each },
    { at: 'orphaned', reason: REASON, mayHaveGoneOn: true, ...each },
  ]),
  ...links.flatMap((link): OutgoingState[] => [
    ...(['completed', 'dead', 'postcopy', 'torn'] as const).flatMap((cause): OutgoingState[] => [
      { at: 'leaving', cause, link, runState }, { at: 'unconfirmed', cause, link, runState },
    ]),
    { at: 'takingBack', reason: REASON, copy: 'unfit', link, runState },
    { at: 'takingBack', reason: REASON, copy: 'broken', link, runState },
    { at: 'serving', link, runState },
  ]),
  { at: 'cut', runState },
  { at: 'over', ending: { as: 'kept', reason: REASON } },
  { at: 'over', ending: { as: 'held', reason: REASON } },
  { at: 'over', ending: { as: 'lost', reason: REASON } },
  { at: 'over', ending: { as: 'estimated' } },
  { at: 'over', ending: { as: 'completed', state: runState, summary: undefined } },
]

const statuses = [
  'setup', 'active', 'device', 'completed', 'failed', 'cancelling', 'cancelled', 'postcopy-active', 'postcopy-paused',
  'postcopy-recover',
]

export const OUTGOING_EVENTS: readonly OutgoingEvent[] = [
  { kind: 'begin' }, { kind: 'prepared' }, { kind: 'accepted' }, { kind: 'linked' }, { kind: 'begun' },
  ...(['prepare', 'offer', 'link', 'start', 'passage', 'postcopy', 'pause'] as const)
    .map((what): OutgoingEvent => ({ kind: 'failed', what, reason: REASON })),
  ...INCOMING_MESSAGES.map((message): OutgoingEvent => ({ kind: 'message', message })),
  { kind: 'linkLost', reason: REASON }, { kind: 'switchover', runState: 'paused' }, { kind: 'handedOver' },
  ...statuses.map((status): OutgoingEvent => ({ kind: 'qemu', status })),
  { kind: 'gone', reason: REASON, wasHeard: true }, { kind: 'gone', reason: REASON, wasHeard: false },
  { kind: 'cancel', reason: REASON }, { kind: 'hasten', by: 'postcopy' }, { kind: 'hasten', by: 'pause' },
  ...waits.map((wait): OutgoingEvent => ({ kind: 'late', wait })),
  { kind: 'takenBack' }, { kind: 'notTakenBack', reason: REASON },
  ...COPY_NEWS.map((copy): OutgoingEvent => ({ kind: 'asked', copy })),
  { kind: 'rejoin' },
]

const incomingPlans: readonly IncomingPlan[] = [
  { kind: 'move', mode: 'precopy' }, { kind: 'move', mode: 'postcopy' }, { kind: 'dryRun' },
  { kind: 'rejoin', runState, state: undefined }, { kind: 'rejoin', runState, state: 'running' },
]

export const INCOMING_STATES: readonly IncomingState[] = [
  ...incomingPlans.flatMap((plan): IncomingState[] => [
    ...(['idle', 'checking', 'linking', 'greeting', 'listing'] as const).map((at): IncomingState => ({ at, plan })),
    { at: 'waiting', plan, order: 'awaited' }, { at: 'waiting', plan, order: 'taken' },
  ]),
  { at: 'loading', mode: 'precopy', runState }, { at: 'loading', mode: 'postcopy', runState },
  { at: 'loading', mode: 'postcopy', runState: 'unknown' },
  { at: 'loaded', runState }, { at: 'loaded', runState: 'unknown' },
  ...links.flatMap((link): IncomingState[] => [
    { at: 'finishing', link, runState },
    { at: 'breaking', reason: REASON, link, runState, isKept: false, askCount: 0 },
    { at: 'breaking', reason: REASON, link, runState, isKept: true, askCount: 0 },
    { at: 'breaking', reason: REASON, link, runState, isKept: false, askCount: 15 },
    { at: 'holding', why: REASON, link, runState, copy: { kind: 'unfit', reason: 'no disk' } },
    ...(['whole', 'coming', 'awaited', 'cut'] as const)
      .map((memory): IncomingState => ({ at: 'releasing', link, runState, memory })),
  ]),
  { at: 'holding', why: REASON, link: 'lost', runState, copy: { kind: 'whole' } },
  { at: 'holding', why: REASON, link: 'lost', runState: 'unknown', copy: { kind: 'whole' } },
  ...[false, true].flatMap((isSettled) => [false, true]
    .map((isTold): IncomingState => ({ at: 'ending', reason: REASON, runState, isSettled, isTold }))),
  ...(['coming', 'awaited', 'cut'] as const)
    .map((memory): IncomingState => ({ at: 'serving', state: 'running', memory })),
  { at: 'cut', runState, state: undefined, why: REASON, isTorn: false },
  { at: 'cut', runState, state: 'running', why: REASON, isTorn: false },
  { at: 'cut', runState, state: 'running', why: REASON, isTorn: true },
  { at: 'cut', runState: 'unknown', state: undefined, why: REASON, isTorn: false },
  ...COPY_NEWS.filter((copy) => copy.kind !== 'partial' && copy.kind !== 'unsaid')
    .map((copy): IncomingState => ({ at: 'telling', copy, ending: { as: 'failed', reason: REASON } })),
  { at: 'over', ending: { as: 'failed', reason: REASON } },
]

const verdicts: readonly Verdict[] = [
  { verdict: 'given-up', runState }, { verdict: 'given-up', runState: 'unknown' }, { verdict: 'kept' },
  { verdict: 'given-up', runState, isTorn: true },
  { verdict: 'pending' }, { verdict: 'unknown' },
]

export const INCOMING_EVENTS: readonly IncomingEvent[] = [
  { kind: 'begin' }, { kind: 'checked' }, { kind: 'linked' },
  ...(['check', 'link', 'channel', 'passage'] as const)
    .map((what): IncomingEvent => ({ kind: 'failed', what, reason: REASON })),
  ...OUTGOING_MESSAGES.map((message): IncomingEvent => ({ kind: 'message', message })),
  { kind: 'linkLost', reason: REASON },
  ...statuses.map((status): IncomingEvent => ({ kind: 'qemu', status })),
  { kind: 'gone', reason: REASON }, { kind: 'released', state: 'running' }, { kind: 'notReleased', reason: REASON },
  { kind: 'ended' }, { kind: 'notEnded', reason: REASON },
  ...verdicts.flatMap((verdict) => (['partial', 'whole', 'arrived', 'broken', 'fell'] as const)
    .map((asked): IncomingEvent => ({ kind: 'answered', asked, verdict }))),
  ...waits.map((wait): IncomingEvent => ({ kind: 'late', wait })),
  { kind: 'settle', decision: 'run' }, { kind: 'settle', decision: 'end' }, { kind: 'stop', reason: REASON },
  { kind: 'rejoin' },
]

/** An event as one word or two. */
export function nameOf(event: OutgoingEvent | IncomingEvent): string {
  switch (event.kind) {
    case 'message': return `message ${event.message.kind}`
    case 'qemu': return `qemu ${event.status}`
    case 'failed': return `failed ${event.what}`
    case 'late': return `late ${event.wait}`
    case 'asked': return `asked ${event.copy.kind}`
    case 'answered': return `answered ${event.verdict.verdict}`
    case 'hasten': return `hasten ${event.by}`
    case 'settle': return `settle ${event.decision}`
    default: return event.kind
  }
}
