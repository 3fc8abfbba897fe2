import type { Verdict } from '../conversation/index.ts'
import type { Mesh } from '../mesh/index.ts'
import { offerLink, type AcceptedOffer } from '../transfer/index.ts'
import {
  decodeVerdict, encodeOffer, encodeQuestion, HANDOFF_PROTOCOL, OUTCOME_PROTOCOL, type HandoffOffer,
  type OutcomeQuestion,
} from './messages.ts'

/**
 * Offers a guest to a host, with a ticket for the conversation's lane. Resolves once the offer is accepted; `lane`
 * resolves once the other end has dialled it. Throws the host's refusal.
 */
export function offerGuest(
  mesh: Mesh, to: string, offer: Omit<HandoffOffer, 'ticket'>, signal: AbortSignal,
): Promise<AcceptedOffer> {
  return offerLink(mesh, { to, protocol: HANDOFF_PROTOCOL }, (ticket) => encodeOffer({ ...offer, ticket }), signal)
}

/** Reports this host's copy to the source's host and asks for its verdict. */
export async function askVerdict(
  mesh: Mesh, from: string, question: OutcomeQuestion, signal: AbortSignal,
): Promise<Verdict> {
  const stream = await mesh.open(from, OUTCOME_PROTOCOL, signal)
  try {
    await stream.send(encodeQuestion(question), signal)
    return decodeVerdict(await stream.receive(signal))
  } finally {
    // The question and the answer were all: an error on close does not matter.
    await stream.close().catch(() => undefined)
  }
}
