import type { Verdict } from '../conversation/index.ts'
import type { Lane, Mesh } from '../mesh/index.ts'
import { offerLink } from '../transfer/index.ts'
import {
  decodeVerdict, encodeOffer, encodeQuestion, HANDOFF_PROTOCOL, OUTCOME_PROTOCOL, type HandoffOffer,
  type OutcomeQuestion,
} from './messages.ts'

/**
 * Offers a guest to a host, with a ticket for the conversation's lane. Resolves once the offer is accepted; `lane` is
 * there once the other end has dialled it. Throws what the host refused with.
 */
export function offerGuest(
  mesh: Mesh, to: string, offer: Omit<HandoffOffer, 'ticket'>, signal: AbortSignal,
): Promise<{ lane: Promise<Lane>; offerBytes: number; answerBytes: number }> {
  return offerLink(mesh, { to, protocol: HANDOFF_PROTOCOL }, (ticket) => encodeOffer({ ...offer, ticket }), signal)
}

/** Tells the source's host what this host's copy is, and asks what that host says of its own. */
export async function askVerdict(
  mesh: Mesh, from: string, question: OutcomeQuestion, signal: AbortSignal,
): Promise<Verdict> {
  const stream = await mesh.open(from, OUTCOME_PROTOCOL, signal)
  try {
    await stream.send(encodeQuestion(question), signal)
    return decodeVerdict(await stream.receive(signal))
  } finally {
    // All that was to be said over it was said.
    await stream.close().catch(() => undefined)
  }
}
