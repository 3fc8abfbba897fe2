/**
 * What the two ends of a handoff say to each other, and what each may conclude: pure, so that a simulation can explore
 * it. `conversation.ts` has the goals and the order of messages, the state files the vocabulary of each end, the step
 * files what it does, and `restart.ts` where it goes on after its agent died.
 */
export {
  LIMITS_MS, type CopyNews, type IncomingMessage, type OutgoingMessage, type Plan, type Reason, type RunState,
  type Verdict,
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
  destinationGone, errorOf, FAILED_THERE, outOfTime, reasonOf, sentenceOf, sourceGone, undecided,
} from './reasons.ts'
export type { IncomingSummary, SpentBytes } from './summary.ts'
export { restartIncoming, restartOutgoing, type Facts } from './restart.ts'
