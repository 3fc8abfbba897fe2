/**
 *   return path = message*
 *   message     = u16:type u16:n payload[n]
 *   SHUT        = 0001 0004 u32:error         the last message: the result of the destination's load, 0 for success
 *
 * Only this result matters here, and even if the pieces before are unknown, the last bytes tell it.
 */
const SHUT_BYTES = 8
const SHUT_HEADER = 0x0001_0004

/** The last bytes of a return path, whose pieces are pushed in order. */
export class ReturnPathEnd {
  readonly #last = Buffer.alloc(SHUT_BYTES)
  #length = 0

  push(bytes: Uint8Array): void {
    const taken = bytes.subarray(Math.max(0, bytes.length - SHUT_BYTES))
    this.#last.copyWithin(0, taken.length)
    this.#last.set(taken, SHUT_BYTES - taken.length)
    this.#length = Math.min(SHUT_BYTES, this.#length + taken.length)
  }

  /** The destination QEMU's last word on its load; undefined if it sent none. */
  get shut(): number | undefined {
    const isShut = this.#length === SHUT_BYTES && this.#last.readUInt32BE(0) === SHUT_HEADER
    return isShut ? this.#last.readUInt32BE(4) : undefined
  }
}
