import type { MessageStream } from '../mesh.ts'
import { MESSAGE_LENGTH_BYTES } from './framing.ts'

/** Bytes on the wire of this host's streams of one kind. */
export class StreamTraffic {
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
