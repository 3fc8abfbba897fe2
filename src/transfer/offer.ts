import type { Lane, LaneTicket, Mesh, MessageStream } from '../mesh/index.ts'
import { refusalOf } from '../runtime/errors.ts'
import { bad, encodeObject, isText, parseObject } from './reading.ts'
import { readAnsweredPages, type AnsweredPages } from './sharing.ts'

/** What a refusal carries, in characters: a sentence names what differs, and machines may differ in much. */
const REFUSAL_LENGTH_MAX = 4000
const ADVICE_LENGTH_MAX = 1000

/** `pages`: whose pages may be used, if the offer asked. */
export type Answer =
  | { accepted: true; pages?: AnsweredPages }
  | { accepted: false; code: string; message: string; advice?: string }

export function encodeAnswer(answer: Answer): Uint8Array {
  if (answer.accepted) return encodeObject(answer)
  const { code, message, advice } = answer
  return encodeObject({
    accepted: false, code, message: message.slice(0, REFUSAL_LENGTH_MAX),
    ...(advice === undefined ? {} : { advice: advice.slice(0, ADVICE_LENGTH_MAX) }),
  })
}

/** Resolves an answer: what it says of pages on acceptance; throws what the other side refused with otherwise. */
export function requireAccepted(bytes: Uint8Array, host: string): AnsweredPages | undefined {
  const { accepted, pages, code, message, advice } = parseObject(bytes, 'bad-answer')
  if (accepted === true) return readAnsweredPages(pages)
  const isCode = isText(code, 64) && /^[a-z0-9-]+$/.test(code)
  if (!isCode || !isText(message, REFUSAL_LENGTH_MAX)) throw bad('bad-answer', 'a refusal without a reason')
  throw refusalOf({ code, message: `${host} refused the guest: ${message}` }, {
    fault: 'peer', phase: 'offer', ...(isText(advice, ADVICE_LENGTH_MAX) ? { advice } : {}),
  })
}

export interface AcceptedOffer {
  /** There once the other end has dialled it. */
  lane: Promise<Lane>
  /** What the destination answered on whose pages may be used. */
  pages: AnsweredPages | undefined
  offerBytes: number
  answerBytes: number
}

/**
 * Offers something to a host, with a ticket for the lane over which both ends talk. Resolves once it is accepted;
 * `lane` is there once the other end has dialled it. Throws what the host refused with.
 */
export async function offerLink(
  mesh: Mesh, { to, protocol }: { to: string; protocol: string }, encode: (ticket: LaneTicket) => Uint8Array,
  signal: AbortSignal,
): Promise<AcceptedOffer> {
  const { ticket, lane } = mesh.offerLane(signal)
  // Whoever waits for it hears of it, but only once the answer has come.
  lane.catch(() => undefined)
  const stream = await mesh.open(to, protocol, signal)
  try {
    const message = encode(ticket)
    await stream.send(message, signal)
    const answer = await stream.receive(signal)
    const pages = requireAccepted(answer, to)
    return { lane, pages, offerBytes: message.length, answerBytes: answer.length }
  } finally {
    // The question and the answer were all: an error on close does not matter.
    await stream.close().catch(() => undefined)
  }
}

/** Answers an offer; that is all that is said over its stream. */
export async function answerOffer(stream: MessageStream, answer: Answer): Promise<void> {
  try {
    await stream.send(encodeAnswer(answer))
  } finally {
    await stream.close()
  }
}
