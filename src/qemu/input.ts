import { assert } from '../runtime/assert.ts'

/** The most bytes that a reader holds back between two pieces of the stream. */
export const CARRY_BYTES_MAX = 512

/** A part of the grammar in progress: it yields where it needs bytes that have not arrived. */
export type Parse<T = void> = Generator<void, T, void>

const NOTHING: Uint8Array = new Uint8Array(0)

/**
 * The stream as the grammar sees it: a window `bytes[at..end)` that begins at the next byte to read.
 *
 * The window is normally the last supplied piece, in place. If an element straddles two pieces, its first bytes are
 * kept in a small carry and the rest is appended, and the window is the carry until the element is read. `at` may be
 * set beyond `end`: that skips bytes that have not arrived yet.
 */
export class ByteInput {
  bytes: Uint8Array
  at = 0
  end = 0
  /** Stream offset of `bytes[0]`. */
  base = 0
  readonly #carry: Uint8Array = new Uint8Array(CARRY_BYTES_MAX)
  #piece = NOTHING
  /** How many of the piece's first bytes are also in the carry. */
  #borrowed = 0

  constructor() {
    this.bytes = this.#carry
  }

  /** Stream offset of the next byte to read. */
  get position(): number {
    return this.base + this.at
  }

  /** Bytes that arrived and were not read: 0 to CARRY_BYTES_MAX once a piece has been used up. */
  get unreadBytes(): number {
    return Math.max(0, this.end - this.at)
  }

  /** Supplies the next piece of the stream; the piece before must be used up. */
  supply(piece: Uint8Array): void {
    assert(this.#piece === NOTHING, 'the piece before is used up')
    this.#piece = piece
    this.#borrowed = 0
  }

  /** Whether the window holds `count` bytes; if false, the piece is used up and its rest is kept. */
  has(count: number): boolean {
    if (this.end - this.at >= count) return true
    assert(count <= CARRY_BYTES_MAX, 'nothing larger than the carry is read whole')
    if (this.bytes !== this.#carry) return this.#keepRest()
    const unread = this.end - this.at
    if (unread <= this.#borrowed && this.#piece !== NOTHING) {
      this.#readInPlace(unread)
      return this.has(count)
    }
    if (unread > 0) this.#borrow(count, unread)
    if (this.end - this.at >= count) return true
    this.#piece = NOTHING
    this.#borrowed = 0
    return false
  }

  /** Waits until the window holds `count` bytes. */
  *need(count: number): Parse {
    while (!this.has(count)) yield
  }

  /** Drops all bytes, for the rest of a stream that nobody reads. `position` is meaningless from then on. */
  drop(): void {
    this.bytes = this.#carry
    this.at = 0
    this.end = 0
    this.#piece = NOTHING
    this.#borrowed = 0
  }

  /** The byte at distance `ahead` from the next one; as for all below, the caller has checked that it is there. */
  u8(ahead: number): number {
    return this.bytes[this.at + ahead]!
  }

  u16(ahead: number): number {
    return readU16(this.bytes, this.at + ahead)
  }

  u32(ahead: number): number {
    return readU32(this.bytes, this.at + ahead)
  }

  /** A 64-bit number as a double: exact up to 2^53; above it only the magnitude is right. */
  u64(ahead: number): number {
    return this.u32(ahead) * 0x1_0000_0000 + this.u32(ahead + 4)
  }

  text(ahead: number, length: number): string {
    return Buffer.from(this.bytes.subarray(this.at + ahead, this.at + ahead + length)).toString('latin1')
  }

  /** All unread bytes of the carry are in the piece too: continue there. `unread` is negative while skipping. */
  #readInPlace(unread: number): void {
    const at = this.#borrowed - unread
    this.base = this.position - at
    this.bytes = this.#piece
    this.at = at
    this.end = this.#piece.length
  }

  #borrow(count: number, unread: number): void {
    this.#carry.copyWithin(0, this.at, this.end)
    this.base += this.at
    this.at = 0
    const taken = Math.min(count - unread, this.#piece.length - this.#borrowed)
    for (let i = 0; i < taken; i++) this.#carry[unread + i] = this.#piece[this.#borrowed + i]!
    this.#borrowed += taken
    this.end = unread + taken
  }

  #keepRest(): false {
    const unread = this.end - this.at
    const position = this.position
    if (unread > 0) this.#carry.set(this.bytes.subarray(this.at, this.end))
    this.at = Math.max(0, -unread)
    this.end = Math.max(0, unread)
    this.base = position - this.at
    this.bytes = this.#carry
    this.#piece = NOTHING
    this.#borrowed = 0
    return false
  }
}

export function readU16(bytes: Uint8Array, at: number): number {
  return bytes[at]! << 8 | bytes[at + 1]!
}

export function readU32(bytes: Uint8Array, at: number): number {
  return (bytes[at]! << 24 | bytes[at + 1]! << 16 | bytes[at + 2]! << 8 | bytes[at + 3]!) >>> 0
}
