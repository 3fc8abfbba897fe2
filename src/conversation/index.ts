/**
 * The protocol between the two ends of a handoff, as pure functions, so that a simulation can explore it.
 * `conversation.ts` has the goals and the order of messages, the state files each end's states, events and effects, the
 * step files its transitions, and `restart.ts` the state in which it resumes after its agent died.
 */
export {
  LIMITS_MS, type CopyNews, type Hastening, type IncomingMessage, type OutgoingMessage, type Plan, type Reason,
  type RunState, type Verdict,
} from './conversation.ts'
export type {
  IncomingEffect, IncomingEnding, IncomingEvent, IncomingPlan, IncomingRecordedAs, IncomingState,
} from './incomingstate.ts'
export { stepIncoming } from './incomingstep.ts'
export type {
  OutgoingEffect, OutgoingEnding, OutgoingEvent, OutgoingRecordedAs, OutgoingState,
} from './outgoingstate.ts'
export { stepOutgoing } from './outgoingstep.ts'
export {
  destinationGone, errorOf, FAILED_THERE, outOfTime, reasonOf, sentenceOf, sourceGone, tornHere, undecided,
} from './reasons.ts'
export type { IncomingSummary, SpentBytes } from './summary.ts'
export { restartIncoming, restartOutgoing, type Facts } from './restart.ts'
