/**
 * One migration through Pagemesh. `outgoing.ts` and `incoming.ts` carry out the decisions of the two ends of the
 * conversation, with a driver (commands to QEMU) and channels (QEMU's streams).
 */
export { Incoming } from './incoming.ts'
export type { IncomingComponents, IncomingInit, IncomingStatus } from './incominginit.ts'
export {
  decodeOffer, decodeQuestion, encodeVerdict, HANDOFF_PROTOCOL, OUTCOME_PROTOCOL, type HandoffOffer,
} from './messages.ts'
export { Outgoing } from './outgoing.ts'
export type { EstimateFindings, OutgoingComponents, OutgoingInit } from './outgoinginit.ts'
