/**
 * Answers as bytes: a sequence of frames, in slices over a stream or unchanged over a lane.
 *
 *   frame  = bodyBytes:u32 body
 *   body   = status:u8 sequence:u32 [ count:u16 bitmap packed ]     status: 1 pages, 2 busy (nothing follows)
 *   bitmap = count bits, lowest first: which of the wanted pages come
 *   packed = these pages, in order, under zstd; uncompressed where that would not be smaller
 */
import { countBits } from '../bytes/bits.ts'
import { FrameCutter } from '../bytes/framecutter.ts'
import { PAGE_BYTES } from '../page/index.ts'
import { badSwap } from './badswap.ts'
import { LIMITS } from './limits.ts'

const FRAME_HEAD_BYTES = 4
const STATUS = { pages: 1, busy: 2 } as const
const STATUS_BYTES = 5
const COUNT_BYTES = 2
/** A frame with all pages of a want, none of which shrank. */
const BODY_BYTES_MAX = STATUS_BYTES + COUNT_BYTES + LIMITS.pagesPerWant / 8 + LIMITS.pagesPerWant * PAGE_BYTES

export type Answer =
  | { status: 'busy'; sequence: number }
  | { status: 'pages'; sequence: number; count: number; bitmap: Uint8Array; packed: Buffer }

/** The head of a frame of pages; `packed` follows it. */
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

/** Throws PagemeshError `bad-swap` if the parts do not add up. */
export function decodeAnswer(body: Buffer): Answer {
  if (body.length < STATUS_BYTES) throw badSwap('an answer is cut short')
  const sequence = body.readUInt32BE(1)
  if (body[0] === STATUS.busy && body.length === STATUS_BYTES) return { status: 'busy', sequence }
  if (body[0] !== STATUS.pages || body.length < STATUS_BYTES + COUNT_BYTES) throw badSwap('an unknown kind of answer')
  const count = body.readUInt16BE(STATUS_BYTES)
  const bitmapAt = STATUS_BYTES + COUNT_BYTES
  const packedAt = bitmapAt + Math.ceil(count / 8)
  if (count < 1 || count > LIMITS.pagesPerWant || packedAt > body.length) throw badSwap('an answer has a bad count')
  const bitmap = body.subarray(bitmapAt, packedAt)
  const packed = body.subarray(packedAt)
  const bitsOver = bitmap.length * 8 - count
  if (bitsOver > 0 && bitmap.at(-1)! >>> (8 - bitsOver) !== 0) throw badSwap('an answer has pages beyond its count')
  const had = countBits(bitmap)
  if (packed.length > had * PAGE_BYTES || (packed.length === 0) !== (had === 0)) {
    throw badSwap('an answer has more or fewer bytes than its pages')
  }
  return { status: 'pages', sequence, count, bitmap, packed }
}

/** The frames of a session. Throws PagemeshError `bad-swap` on a frame beyond its limit. */
export class AnswerReader extends FrameCutter {
  /** Each body is passed on whole, in its own memory. */
  constructor(onBody: (body: Buffer) => void) {
    super({ headBytes: FRAME_HEAD_BYTES, bodyBytesOf, onFrame: (_head, body) => onBody(body) })
  }
}

function bodyBytesOf(head: Buffer): number {
  const bodyBytes = head.readUInt32BE(0)
  if (bodyBytes < STATUS_BYTES || bodyBytes > BODY_BYTES_MAX) throw badSwap(`a frame has ${bodyBytes} bytes`)
  return bodyBytes
}
