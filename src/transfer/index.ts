/**
 * The common parts of every migration through the agents, whoever drives it: an offer to another host, a link over
 * which the two agents talk, and a result. `handoff/` moves guests over QMP, `relay/` carries migrations that a manager
 * drives.
 */
export { IncomingPassages, type IncomingPassagesComponents } from './incomingpassages.ts'
export { Link, type Language, type LinkInit } from './link.ts'
export { answerOffer, encodeAnswer, offerLink, requireAccepted, type AcceptedOffer, type Answer } from './offer.ts'
export { OutgoingPassages } from './outgoingpassages.ts'
export {
  bad, encodeObject, isId, isText, objectIn, parseObject, readChannel, readTicket, spokenVersion,
} from './reading.ts'
export { predict, type Expected, type Obstacle } from './prediction.ts'
export { encodeHad, PUBLIC_PAGES_MAX, takeHad, type PublicPages } from './publicpages.ts'
export {
  offeredPages, readOfferedPages, shareAtDestination, shareAtSource, type AnsweredPages, type OfferedPages,
  type Sharing,
} from './sharing.ts'
export {
  addStreams, failedResult, ledgerOf, readSummary, type HandoffEstimate, type HandoffLedger, type HandoffMeasure,
  type HandoffPhase, type HandoffProgress, type HandoffResult, type PageCounts, type RelayResult,
} from './result.ts'
