import { concat } from 'uint8arrays/concat'

/**
 * Frames of a message stream: `length:u32 message`, big-endian. The limit applies to the announced length, before any
 * byte of the message is kept.
 */
/** Bytes before each message. */
export const MESSAGE_LENGTH_BYTES = 4

export function encodeMessageFrame(message: Uint8Array): Uint8Array {
  const frame = new Uint8Array(MESSAGE_LENGTH_BYTES + message.length)
  new DataView(frame.buffer).setUint32(0, message.length)
  frame.set(message, MESSAGE_LENGTH_BYTES)
  return frame
}

/** Cuts arriving pieces into messages; holds at most one unfinished frame. */
export class FrameDecoder {
  readonly #messageBytesMax: number
  #pieces: Uint8Array[] = []
  #heldBytes = 0

  constructor(messageBytesMax: number) {
    this.#messageBytesMax = messageBytesMax
  }

  /** Messages that `piece` completes, each with its own bytes. Throws FrameTooLongError above the limit. */
  push(piece: Uint8Array): Uint8Array[] {
    this.#pieces.push(piece)
    this.#heldBytes += piece.length
    const messages: Uint8Array[] = []
    while (this.#heldBytes >= MESSAGE_LENGTH_BYTES) {
      const length = this.#peekLength()
      if (length > this.#messageBytesMax) throw new FrameTooLongError(length)
      if (this.#heldBytes < MESSAGE_LENGTH_BYTES + length) break
      const held = this.#joined()
      messages.push(held.slice(MESSAGE_LENGTH_BYTES, MESSAGE_LENGTH_BYTES + length))
      this.#pieces = [held.subarray(MESSAGE_LENGTH_BYTES + length)]
      this.#heldBytes -= MESSAGE_LENGTH_BYTES + length
    }
    return messages
  }

  #peekLength(): number {
    const first = this.#pieces[0]!
    const head = first.length >= MESSAGE_LENGTH_BYTES ? first : this.#joined()
    return new DataView(head.buffer, head.byteOffset).getUint32(0)
  }

  #joined(): Uint8Array {
    if (this.#pieces.length > 1) this.#pieces = [concat(this.#pieces)]
    return this.#pieces[0]!
  }
}

export class FrameTooLongError extends Error {
  override readonly name = 'FrameTooLongError'
  readonly lengthBytes: number

  constructor(lengthBytes: number) {
    super(`a frame announces ${lengthBytes} bytes`)
    this.lengthBytes = lengthBytes
  }
}
