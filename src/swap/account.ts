import { MESSAGE_LENGTH_BYTES, type Lane, type MessageStream } from '../mesh/index.ts'
import type { SwapTraffic } from './api.ts'

/** Bytes on the wire for one purpose: messages of streams, and whole lanes. */
export class Account {
  #sentBytes = 0
  #receivedBytes = 0
  readonly #lanes = new Set<Lane>()

  get total(): SwapTraffic {
    const total = { sentBytes: this.#sentBytes, receivedBytes: this.#receivedBytes }
    for (const { sentBytes, receivedBytes } of this.#lanes) {
      total.sentBytes += sentBytes
      total.receivedBytes += receivedBytes
    }
    return total
  }

  async send(stream: MessageStream, message: Uint8Array, signal?: AbortSignal): Promise<void> {
    this.#sentBytes += message.length + MESSAGE_LENGTH_BYTES
    await stream.send(message, signal)
  }

  async receive(stream: MessageStream, signal: AbortSignal): Promise<Uint8Array> {
    const message = await stream.receive(signal)
    this.countReceived(message)
    return message
  }

  /** Counts a message that was received before its purpose was known. */
  countReceived(message: Uint8Array): void {
    this.#receivedBytes += message.length + MESSAGE_LENGTH_BYTES
  }

  /** Counts all bytes of a lane, from the first on. */
  watch(lane: Lane): void {
    this.#lanes.add(lane)
    // `closed` never rejects.
    void lane.closed.then(() => {
      this.#lanes.delete(lane)
      this.#sentBytes += lane.sentBytes
      this.#receivedBytes += lane.receivedBytes
    })
  }
}
