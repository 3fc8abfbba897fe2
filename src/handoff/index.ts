/**
 * One migration through us. `outgoing.ts` and `incoming.ts` carry out what the two sides of the conversation decide,
 * over a driver (who tells QEMU what to do) and channels (what QEMU writes).
 */
export { Incoming } from './incoming.ts'
export type { IncomingComponents, IncomingInit, IncomingStatus } from './incominginit.ts'
export {
  decodeOffer, decodeQuestion, encodeVerdict, HANDOFF_PROTOCOL, OUTCOME_PROTOCOL, type HandoffOffer,
} from './messages.ts'
export { Outgoing } from './outgoing.ts'
export type { OutgoingComponents, OutgoingInit } from './outgoinginit.ts'
