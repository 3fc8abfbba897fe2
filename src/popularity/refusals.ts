import { MESSAGE_LENGTH_BYTES, type Member, type MessageStream, type Standing } from '../mesh/index.ts'

/** What this host's streams of one kind cost on the wire. */
export class Traffic {
  sentBytes = 0
  receivedBytes = 0

  async send(stream: MessageStream, message: Uint8Array, signal: AbortSignal): Promise<void> {
    await stream.send(message, signal)
    this.sentBytes += message.length + MESSAGE_LENGTH_BYTES
  }

  async receive(stream: MessageStream, signal: AbortSignal): Promise<Uint8Array> {
    const message = await stream.receive(signal)
    this.receivedBytes += message.length + MESSAGE_LENGTH_BYTES
    return message
  }
}

/** Counts what is refused from other members, by reason, and what it costs them. */
export class Refusals {
  readonly counts: Record<string, number> = {}
  readonly #standing: Standing

  constructor(components: { standing: Standing }) {
    this.#standing = components.standing
  }

  /** @param weight 1 for what no honest host does, less for what bad luck can bring about, 0 for what it often does. */
  refuse(reason: string, from: Pick<Member, 'peerId'>, weight: number): void {
    this.counts[reason] = (this.counts[reason] ?? 0) + 1
    if (weight > 0) this.#standing.fault(from.peerId, weight)
  }

  isTrusted(from: Pick<Member, 'peerId'>): boolean {
    return this.#standing.isTrusted(from.peerId)
  }
}
