import {
  reasonOf, sentenceOf, type IncomingMessage, type OutgoingMessage, type Reason, type Verdict,
} from '../conversation/index.ts'
import type { Lane, Mesh, MessageStream } from '../mesh/index.ts'
import { badFrame, FrameLane, type FrameTable } from '../passage/index.ts'
import type { Clock } from '../runtime/clock.ts'
import { asPagemeshError } from '../runtime/errors.ts'
import type { Log } from '../runtime/log.ts'
import { waitAtMost } from '../runtime/wait.ts'
import {
  CONVERSATION_FRAMES, decodeVerdict, encodeAnswer, encodeMessage, encodeOffer, encodeQuestion, HANDOFF_PROTOCOL,
  OUTCOME_PROTOCOL, requireAccepted, type HandoffAnswer, type HandoffOffer, type OutcomeQuestion,
} from './messages.ts'

type Message = OutgoingMessage | IncomingMessage

/** How long the other end may take for what is still to be said to it, ms. */
const FAREWELL_MS = 500

export interface LinkInit<Heard extends Message> {
  /** Bytes a second on the wire; Infinity: as fast as it goes. */
  bytesPerSecondMax: number
  /** What the other end may say. */
  heard: FrameTable<Heard['kind']>
  /** Throws what is wrong with a frame: that is the end of the link. */
  decode: (kind: Heard['kind'], body: Buffer) => Heard
  onMessage: (message: Heard) => void
  /** Said once, unless this end closed it. */
  onLost: (reason: Reason) => void
}

/** The conversation's lane at one end: messages as frames, in order. */
export class Link<Heard extends Message> {
  readonly #clock: Clock
  readonly #log: Log
  readonly #lane: FrameLane<Message['kind']>
  readonly #onLost: (reason: Reason) => void
  #isOver = false

  constructor(components: { clock: Clock; log: Log; lane: Lane }, init: LinkInit<Heard>) {
    this.#clock = components.clock
    this.#log = components.log
    this.#onLost = init.onLost
    this.#lane = new FrameLane(components, {
      frames: CONVERSATION_FRAMES,
      bytesPerSecondMax: init.bytesPerSecondMax,
      onFrame: (kind, body) => {
        if (!(kind in init.heard)) throw badFrame(`${kind} is for the other end to say`)
        init.onMessage(init.decode(kind as Heard['kind'], body))
      },
      onLost: (error) => this.#lose(reasonOf(error)),
    })
  }

  /** It was lost, or closed from here. */
  get isOver(): boolean {
    return this.#isOver
  }

  get sentBytes(): number {
    return this.#lane.sentBytes
  }

  get receivedBytes(): number {
    return this.#lane.receivedBytes
  }

  say(message: Message): void {
    // It never rejects: a lane that cannot be written to is lost.
    void this.#lane.send(message.kind, encodeMessage(message))
  }

  /** Takes what the other end said; what cannot be is the end of the link. */
  heed(take: () => void): void {
    try {
      take()
    } catch (error) {
      this.#lane.destroy()
      this.#lose(reasonOf(asPagemeshError(error)))
    }
  }

  /** Closes, after what was said; waits a moment for the other end to take it. `reason`: what it said is at fault. */
  async close(reason?: Reason): Promise<void> {
    if (reason !== undefined) this.#log.warn('the other agent is not understood', { reason: sentenceOf(reason) })
    this.#isOver = true
    this.#lane.complete()
    await waitAtMost(this.#clock, this.#lane.close(), FAREWELL_MS)
    this.#lane.destroy()
  }

  #lose(reason: Reason): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#onLost(reason)
  }
}

/**
 * Offers a guest to a host, with a ticket for the conversation's lane. Resolves once the offer is accepted; `lane` is
 * there once the other end has dialled it. Throws what the host refused with.
 */
export async function offerGuest(
  mesh: Mesh, to: string, offer: Omit<HandoffOffer, 'ticket'>, signal: AbortSignal,
): Promise<{ lane: Promise<Lane>; offerBytes: number; answerBytes: number }> {
  const { ticket, lane } = mesh.offerLane(signal)
  // Whoever waits for it hears of it, but only once the answer has come.
  lane.catch(() => undefined)
  const stream = await mesh.open(to, HANDOFF_PROTOCOL, signal)
  try {
    const message = encodeOffer({ ...offer, ticket })
    await stream.send(message, signal)
    const answer = await stream.receive(signal)
    requireAccepted(answer, to)
    return { lane, offerBytes: message.length, answerBytes: answer.length }
  } finally {
    // All that was to be said over it was said.
    await stream.close().catch(() => undefined)
  }
}

/** Answers an offer; that is all that is said over its stream. */
export async function answerOffer(stream: MessageStream, answer: HandoffAnswer): Promise<void> {
  try {
    await stream.send(encodeAnswer(answer))
  } finally {
    await stream.close()
  }
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
