/**
 * One migration through us: the outgoing agent parses what the source QEMU writes and sends references where it can,
 * the incoming agent gives its QEMU the very same bytes. `wire.ts` says how the two talk.
 */
export { Incoming, type IncomingComponents, type IncomingInit, type IncomingStatus } from './incoming.ts'
export type { HandoffLedger, SpentBytes } from './ledger.ts'
export { answerOutcome, OUTCOME_PROTOCOL } from './outcome.ts'
export { Outgoing, type OutgoingComponents, type OutgoingInit } from './outgoing.ts'
export { PageBudget } from './pagebudget.ts'
export type { PeerPages } from './prefetch.ts'
export { removeStaleRendezvous } from './rendezvous.ts'
export {
  failedResult, noRefsFilled, type HandoffEstimate, type HandoffPhase, type HandoffProgress, type HandoffResult,
  type PageCounts,
} from './result.ts'
export { warmUp } from './warmup.ts'
export { HANDOFF_PROTOCOL } from './wire.ts'
