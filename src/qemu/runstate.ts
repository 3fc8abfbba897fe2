/**
 * The run state that the guest had at switchover. It is among the devices' states, which have no length:
 *
 *   globalstate = 04 u32:id 0b 'globalstate' u32:0 u32:1 u32:size state[100] 7e u32:id
 *   state       = the run state's name, `size` - 1 letters, then zeros
 *
 * So all bytes after RAM's end or inside the package of a post-copy are searched for it, and nothing else. Each exact
 * match is reported, and the last one holds: QEMU writes it after all devices that it started with, in some of which a
 * guest could place such bytes itself. (A device plugged in later comes after it: there a guest could still lie, about
 * its own state only.) Machine types up to 2.3 do not have it.
 */
import { bufferOver } from '../bytes/bufferover.ts'
import { readU32, type ByteInput, type Parse } from './input.ts'
import { SECTION_FOOTER, SECTION_FULL } from './section.ts'

const COUNTED_NAME = Buffer.from('\x0bglobalstate', 'latin1')
const NAME_AT = 5
const INSTANCE_AT = NAME_AT + COUNTED_NAME.length
const SIZE_AT = INSTANCE_AT + 8
const STATE_AT = SIZE_AT + 4
const STATE_BYTES = 100
const FOOTER_AT = STATE_AT + STATE_BYTES
const SECTION_BYTES = FOOTER_AT + 5
/** Shorter than a whole section, so that none is reported twice. */
const KEPT_BYTES = SECTION_BYTES - 1

/** Searches pieces of any size; holds back less than one such section. */
export class RunStateSearch {
  readonly #onFound: (state: string) => void
  /** The last bytes, in which a section may have begun. */
  readonly #carry = Buffer.alloc(2 * KEPT_BYTES)
  #carried = 0

  constructor(onFound: (state: string) => void) {
    this.#onFound = onFound
  }

  /** Skips this many bytes and searches them. */
  *read(input: ByteInput, byteCount: number): Parse {
    for (let remaining = byteCount; remaining > 0;) {
      yield* input.need(1)
      const taken = Math.min(remaining, input.unreadBytes)
      this.#look(input.bytes.subarray(input.at, input.at + taken))
      input.at += taken
      remaining -= taken
    }
  }

  #look(bytes: Uint8Array): void {
    const piece = bufferOver(bytes)
    // First across the border: the carry, and as much of the piece as a section that began in the carry can take.
    const ahead = Math.min(piece.length, KEPT_BYTES)
    piece.copy(this.#carry, this.#carried, 0, ahead)
    this.#search(this.#carry.subarray(0, this.#carried + ahead))
    this.#search(piece)
    this.#keepEnd(piece, this.#carried + ahead)
  }

  #search(bytes: Buffer): void {
    for (let at = bytes.indexOf(COUNTED_NAME, NAME_AT); at >= 0; at = bytes.indexOf(COUNTED_NAME, at + 1)) {
      const state = stateOf(bytes, at - NAME_AT)
      if (state !== undefined) this.#onFound(state)
    }
  }

  /** Keeps the last bytes of the stream; `inCarry` bytes are in the carry now. */
  #keepEnd(piece: Buffer, inCarry: number): void {
    if (piece.length >= KEPT_BYTES) {
      this.#carried = piece.copy(this.#carry, 0, piece.length - KEPT_BYTES)
      return
    }
    // A piece this short is entirely in the carry.
    const from = Math.max(0, inCarry - KEPT_BYTES)
    this.#carry.copyWithin(0, from, inCarry)
    this.#carried = inCarry - from
  }
}

/** The state in a section at `at`; undefined if there is no section, or not all of it. */
function stateOf(bytes: Buffer, at: number): string | undefined {
  if (at + SECTION_BYTES > bytes.length || bytes[at] !== SECTION_FULL) return undefined
  if (readU32(bytes, at + INSTANCE_AT) !== 0 || readU32(bytes, at + INSTANCE_AT + 4) !== 1) return undefined
  if (bytes[at + FOOTER_AT] !== SECTION_FOOTER) return undefined
  if (readU32(bytes, at + FOOTER_AT + 1) !== readU32(bytes, at + 1)) return undefined
  const size = readU32(bytes, at + SIZE_AT)
  if (size < 2 || size > STATE_BYTES) return undefined
  const state = bytes.toString('latin1', at + STATE_AT, at + STATE_AT + size - 1)
  const isPadded = bytes.subarray(at + STATE_AT + size - 1, at + FOOTER_AT).every((byte) => byte === 0)
  return isPadded && /^[a-z-]+$/.test(state) ? state : undefined
}
