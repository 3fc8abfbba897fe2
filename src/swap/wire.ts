/**
 * What an asker and a holder say to each other.
 *
 * Goals: one session carries any number of wants, many under way at once; pages travel compressed together, over the
 * bulk lane where there are many; a holder that cannot answer now says so at once. Non-goals: to be believed (the
 * asker hashes every page), to survive the loss of the stream (the asker goes elsewhere), to mix purposes: a session
 * has one, so that its bytes have one account, and nothing urgent stands behind what is not.
 *
 *   asker                                       holder
 *     hello (version, purpose) ------------------> |
 *     want (sequence, prefixes) -----------------> |  popular ones alone are looked up, read and hashed
 *     want (sequence, prefixes) -----------------> |
 *       | <------------- pages (sequence, bitmap, packed)   as slices of one run of bytes
 *       | <------------------------ busy (sequence)         ask elsewhere, or again later
 *       | <---------------------------- lane (ticket)       many came: dial it, and all that follows comes there
 *       | <------------------------------------- shut       a guest moves here: what is not answered never will be
 *       | <------------------------------------- open       ask again
 *     either closes the stream, and with it the session
 *
 * States of a session at the holder: greeting -> open <-> shut -> closed. A message outside its state, a want whose
 * sequence is not above all before it, or an answer that nobody asked for costs the sender standing.
 *
 *   asker to holder, each a message of the stream:
 *   hello  = 1:u8 version:u8 purpose:u8             purpose: 1 placement, 2 handoff
 *   want   = 2:u8 sequence:u32 prefix:8 {1..256}
 *
 *   holder to asker, each a message of the stream:
 *   slice  = 1:u8 bytes            the next bytes of the run of frames
 *   lane   = 2:u8 idBytes:u8 id keyBytes:u8 key address
 *   shut   = 3:u8                  open = 4:u8
 *
 *   The lane, once there, carries a run of frames of its own, from holder to asker and nothing else.
 *   frame  = bodyBytes:u32 body
 *   body   = status:u8 sequence:u32 [ count:u16 bitmap packed ]     status: 1 pages, 2 busy (nothing follows)
 *   bitmap = count bits, lowest first: which of the wanted pages come    packed = these, in order, under zstd
 */
import { Buffer } from 'node:buffer'

import type { LaneTicket } from '../mesh/index.ts'
import { PAGE_BYTES, PREFIX_BYTES, type Prefixes } from '../page/index.ts'
import { PagemeshError } from '../runtime/errors.ts'
import type { SwapPurpose } from './index.ts'
import { LIMITS } from './limits.ts'

export const SWAP_PROTOCOL = '/pagemesh/swap/1'
const VERSION = 1

const ASKER = { hello: 1, want: 2 } as const
const HOLDER = { slice: 1, lane: 2, shut: 3, open: 4 } as const
const PURPOSES: readonly SwapPurpose[] = ['placement', 'handoff']
const WANT_HEAD_BYTES = 5
const TICKET_BYTES_MAX = 1024

export type AskerMessage =
  | { kind: 'hello'; purpose: SwapPurpose }
  | { kind: 'want'; sequence: number; prefixes: Prefixes }

export type HolderMessage =
  | { kind: 'slice'; bytes: Uint8Array }
  | { kind: 'lane'; ticket: LaneTicket }
  | { kind: 'shut' }
  | { kind: 'open' }

export function encodeHello(purpose: SwapPurpose): Uint8Array {
  return Uint8Array.of(ASKER.hello, VERSION, PURPOSES.indexOf(purpose) + 1)
}

export function encodeWant(sequence: number, { count, high, low }: Prefixes): Uint8Array {
  const bytes = Buffer.allocUnsafe(WANT_HEAD_BYTES + count * PREFIX_BYTES)
  bytes[0] = ASKER.want
  let at = bytes.writeUInt32BE(sequence, 1)
  for (let i = 0; i < count; i++) {
    at = bytes.writeUInt32BE(high[i]!, at)
    at = bytes.writeUInt32BE(low[i]!, at)
  }
  return bytes
}

/** Throws PagemeshError `bad-swap` on anything that no asker of ours would write. */
export function decodeAskerMessage(message: Uint8Array): AskerMessage {
  const bytes = bufferOver(message)
  if (bytes[0] === ASKER.hello) {
    const purpose = PURPOSES[bytes[2]! - 1]
    if (bytes.length !== 3 || bytes[1] !== VERSION || purpose === undefined) throw badSwap('its greeting is unknown')
    return { kind: 'hello', purpose }
  }
  if (bytes[0] !== ASKER.want) throw badSwap('its kind is unknown')
  const count = (bytes.length - WANT_HEAD_BYTES) / PREFIX_BYTES
  if (!Number.isInteger(count) || count < 1 || count > LIMITS.pagesPerWant) throw badSwap('a want has a bad length')
  const prefixes: Prefixes = { count, high: new Uint32Array(count), low: new Uint32Array(count) }
  for (let i = 0; i < count; i++) {
    prefixes.high[i] = bytes.readUInt32BE(WANT_HEAD_BYTES + i * PREFIX_BYTES)
    prefixes.low[i] = bytes.readUInt32BE(WANT_HEAD_BYTES + i * PREFIX_BYTES + 4)
  }
  return { kind: 'want', sequence: bytes.readUInt32BE(1), prefixes }
}

/** Slices of a run of frames, each a message of at most `bytesMax` and one byte. */
export function encodeSlice(bytes: Uint8Array): Uint8Array {
  const message = new Uint8Array(1 + bytes.length)
  message[0] = HOLDER.slice
  message.set(bytes, 1)
  return message
}

export function encodeShut(isShut: boolean): Uint8Array {
  return Uint8Array.of(isShut ? HOLDER.shut : HOLDER.open)
}

export function encodeTicket({ address, id, key }: LaneTicket): Uint8Array {
  const idBytes = Buffer.from(id, 'hex')
  const keyBytes = Buffer.from(key, 'hex')
  return Buffer.concat([
    Uint8Array.of(HOLDER.lane, idBytes.length), idBytes, Uint8Array.of(keyBytes.length), keyBytes, Buffer.from(address),
  ])
}

/** Throws PagemeshError `bad-swap` on anything that no holder of ours would write. */
export function decodeHolderMessage(message: Uint8Array): HolderMessage {
  if (message[0] === HOLDER.slice && message.length > 1) return { kind: 'slice', bytes: message.subarray(1) }
  if (message[0] === HOLDER.lane) return { kind: 'lane', ticket: decodeTicket(bufferOver(message)) }
  if (message[0] === HOLDER.shut && message.length === 1) return { kind: 'shut' }
  if (message[0] === HOLDER.open && message.length === 1) return { kind: 'open' }
  throw badSwap('its kind is unknown')
}

function decodeTicket(bytes: Buffer): LaneTicket {
  const keyAt = 2 + (bytes[1] ?? 0)
  const addressAt = keyAt + 1 + (bytes[keyAt] ?? 0)
  if (bytes.length > TICKET_BYTES_MAX || addressAt >= bytes.length) throw badSwap('a ticket is cut short')
  return {
    id: bytes.toString('hex', 2, keyAt),
    key: bytes.toString('hex', keyAt + 1, addressAt),
    address: bytes.toString('utf8', addressAt),
  }
}

const FRAME_HEAD_BYTES = 4
const STATUS = { pages: 1, busy: 2 } as const
const STATUS_BYTES = 5
const COUNT_BYTES = 2
/** A frame of all pages of a want, none of which shrank. */
const BODY_BYTES_MAX = STATUS_BYTES + COUNT_BYTES + LIMITS.pagesPerWant / 8 + LIMITS.pagesPerWant * PAGE_BYTES

export type Answer =
  | { status: 'busy'; sequence: number }
  | { status: 'pages'; sequence: number; count: number; bitmap: Uint8Array; packed: Buffer }

/** The head of a frame of pages; `packed` comes right behind it. */
export function encodePagesHead(sequence: number, count: number, bitmap: Uint8Array, packedBytes: number): Buffer {
  const head = Buffer.allocUnsafe(FRAME_HEAD_BYTES + STATUS_BYTES + COUNT_BYTES + bitmap.length)
  let at = head.writeUInt32BE(head.length - FRAME_HEAD_BYTES + packedBytes, 0)
  at = head.writeUInt8(STATUS.pages, at)
  at = head.writeUInt32BE(sequence, at)
  at = head.writeUInt16BE(count, at)
  head.set(bitmap, at)
  return head
}

export function encodeBusy(sequence: number): Buffer {
  const frame = Buffer.allocUnsafe(FRAME_HEAD_BYTES + STATUS_BYTES)
  let at = frame.writeUInt32BE(STATUS_BYTES, 0)
  at = frame.writeUInt8(STATUS.busy, at)
  frame.writeUInt32BE(sequence, at)
  return frame
}

/** Throws PagemeshError `bad-swap` where the parts do not add up. */
export function decodeAnswer(body: Buffer): Answer {
  if (body.length < STATUS_BYTES) throw badSwap('an answer is cut short')
  const sequence = body.readUInt32BE(1)
  if (body[0] === STATUS.busy && body.length === STATUS_BYTES) return { status: 'busy', sequence }
  if (body[0] !== STATUS.pages || body.length < STATUS_BYTES + COUNT_BYTES) throw badSwap('an answer is of no kind')
  const count = body.readUInt16BE(STATUS_BYTES)
  const bitmapAt = STATUS_BYTES + COUNT_BYTES
  const packedAt = bitmapAt + Math.ceil(count / 8)
  if (count < 1 || count > LIMITS.pagesPerWant || packedAt > body.length) throw badSwap('an answer has a bad count')
  const bitmap = body.subarray(bitmapAt, packedAt)
  const packed = body.subarray(packedAt)
  const bitsOver = bitmap.length * 8 - count
  if (bitsOver > 0 && bitmap.at(-1)! >>> (8 - bitsOver) !== 0) throw badSwap('an answer has pages beyond its count')
  const had = bitsIn(bitmap)
  if (packed.length > had * PAGE_BYTES || (packed.length === 0) !== (had === 0)) {
    throw badSwap('an answer has more or fewer bytes than its pages')
  }
  return { status: 'pages', sequence, count, bitmap, packed }
}

function bitsIn(bitmap: Uint8Array): number {
  let bits = 0
  for (let byte of bitmap) for (; byte !== 0; byte &= byte - 1) bits += 1
  return bits
}

/** Cuts a run of bytes into frames, whatever pieces it comes in. Holds at most one frame. */
export class FrameReader {
  readonly #onBody: (body: Buffer) => void
  readonly #head = Buffer.alloc(FRAME_HEAD_BYTES)
  #headFilled = 0
  #body: Buffer | undefined
  #bodyFilled = 0

  /** Each body is handed over whole, in memory of its own. */
  constructor(onBody: (body: Buffer) => void) {
    this.#onBody = onBody
  }

  /** Whether a frame has begun and not ended. */
  get isMidway(): boolean {
    return this.#headFilled > 0
  }

  /** Throws PagemeshError `bad-swap` on a frame beyond its limit; nothing may be pushed after. */
  push(bytes: Uint8Array): void {
    let at = 0
    while (at < bytes.length) {
      if (this.#body === undefined) {
        const take = Math.min(FRAME_HEAD_BYTES - this.#headFilled, bytes.length - at)
        this.#head.set(bytes.subarray(at, at + take), this.#headFilled)
        this.#headFilled += take
        at += take
        if (this.#headFilled < FRAME_HEAD_BYTES) return
        const bodyBytes = this.#head.readUInt32BE(0)
        if (bodyBytes < STATUS_BYTES || bodyBytes > BODY_BYTES_MAX) throw badSwap(`a frame has ${bodyBytes} bytes`)
        this.#body = Buffer.allocUnsafe(bodyBytes)
        this.#bodyFilled = 0
      }
      const take = Math.min(this.#body.length - this.#bodyFilled, bytes.length - at)
      this.#body.set(bytes.subarray(at, at + take), this.#bodyFilled)
      this.#bodyFilled += take
      at += take
      if (this.#bodyFilled === this.#body.length) this.#finish(this.#body)
    }
  }

  #finish(body: Buffer): void {
    this.#body = undefined
    this.#headFilled = 0
    this.#onBody(body)
  }
}

export function badSwap(why: string): PagemeshError {
  return new PagemeshError('bad-swap', `A message about pages to trade cannot be read: ${why}.`, {
    fault: 'peer', phase: 'swap', advice: 'Check that both hosts run the same version of Pagemesh.',
  })
}

function bufferOver(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}
