/**
 * The handoff stream: what the two agents of one handoff say over its lane.
 *
 * Goals: the incoming agent gives its QEMU exactly the bytes that the source QEMU wrote, without parsing them;
 * references instead of pages wherever it has them; every batch is compared by digest before QEMU sees it.
 * Non-goals: confidentiality (the lane is TLS), several handoffs on one lane, surviving the loss of the lane.
 *
 *   outgoing                                   incoming
 *      | hello (version) ------------------------> |
 *      | census (sorted prefixes) ---------------> |  looks up what it has
 *      | <------------------------------- bitmap   |  its QEMU listens now
 *      | order (of what the bitmap lacks) -------> |  fetches it from other hosts, last first
 *      |                                           |
 *      | <---------------- arrived (pages)* ------ |  what it has fetched from other hosts, all along
 *      | batch 0, 1, 2 ... (ops, ids, literals) -> |  assembles, fills refs, compares digest, writes to QEMU
 *      | <----------------- missing (batch, refs)  |  a ref that nothing here can fill
 *      | pages (batch, literals) ----------------> |
 *      | <------------------------- ack (batch)    |  QEMU took everything up to here
 *      | <------------------- returned (bytes)     |  QEMU's return path, all along
 *      | <------------------------- returnedEnd    |  QEMU has loaded the guest and closed
 *      | streamEnd ------------------------------> |
 *      | completed (the source gave it up) ------> |  lets the guest run
 *      | <------------------------------ result    |
 *      both: alive every second; failed (reason) at any time, then both close
 *
 * States of the incoming end: greeting -> listing -> streaming -> loaded -> released; of the outgoing end:
 * waiting for bitmap -> streaming -> ended -> waiting for result. A frame outside its state fails the handoff.
 *
 *   frame = length kind body;  length = u32, bytes of the body;  kind = u8
 */
import { PagemeshError } from '../runtime/errors.ts'
import { FrameCutter } from '../runtime/framecutter.ts'

export const HANDOFF_PROTOCOL = '/pagemesh/handoff/1'
export const HANDOFF_VERSION = 1

export const FRAME_KINDS = {
  hello: 1,
  census: 2,
  bitmap: 3,
  batch: 4,
  missing: 5,
  pages: 6,
  ack: 7,
  returned: 8,
  returnedEnd: 9,
  streamEnd: 10,
  completed: 11,
  result: 12,
  failed: 13,
  alive: 14,
  arrived: 15,
  order: 16,
} as const

export type FrameKind = (typeof FRAME_KINDS)[keyof typeof FRAME_KINDS]

/** The largest body of each kind, in bytes; a larger one fails the handoff before it is buffered. */
const BODY_BYTES_MAX: Record<FrameKind, number> = {
  [FRAME_KINDS.hello]: 64,
  [FRAME_KINDS.census]: 64 * 2 ** 20,
  [FRAME_KINDS.bitmap]: 4 * 2 ** 20,
  [FRAME_KINDS.batch]: 4 * 2 ** 20,
  [FRAME_KINDS.missing]: 64 * 1024,
  [FRAME_KINDS.pages]: 4 * 2 ** 20,
  [FRAME_KINDS.ack]: 4,
  [FRAME_KINDS.returned]: 2 ** 20,
  [FRAME_KINDS.returnedEnd]: 0,
  [FRAME_KINDS.streamEnd]: 0,
  [FRAME_KINDS.completed]: 0,
  [FRAME_KINDS.result]: 4096,
  [FRAME_KINDS.failed]: 4096,
  [FRAME_KINDS.alive]: 0,
  [FRAME_KINDS.arrived]: 64 * 1024,
  [FRAME_KINDS.order]: 32 * 2 ** 20,
}

export const FRAME_HEADER_BYTES = 5

export function frameHeader(kind: FrameKind, bodyBytes: number): Buffer {
  const header = Buffer.allocUnsafe(FRAME_HEADER_BYTES)
  header.writeUInt32BE(bodyBytes, 0)
  header[4] = kind
  return header
}

/** The name of a frame kind, for error messages. */
export function frameName(kind: number): string {
  return Object.entries(FRAME_KINDS).find(([, value]) => value === kind)?.[0] ?? `kind ${kind}`
}

/** The frames of a lane. Throws PagemeshError `bad-frame` on a frame of no known kind or beyond its limit. */
export class FrameReader extends FrameCutter {
  /** Each body is handed over whole, in memory of its own. */
  constructor(onFrame: (kind: FrameKind, body: Buffer) => void) {
    super({
      headBytes: FRAME_HEADER_BYTES, bodyBytesOf, onFrame: (header, body) => onFrame(header[4] as FrameKind, body),
    })
  }
}

function bodyBytesOf(header: Buffer): number {
  const bodyBytes = header.readUInt32BE(0)
  const kind = header[4] as FrameKind
  const limit = BODY_BYTES_MAX[kind]
  if (limit === undefined) throw badFrame(`its kind ${kind} is unknown`)
  if (bodyBytes > limit) throw badFrame(`its ${frameName(kind)} frame of ${bodyBytes} bytes exceeds ${limit}`)
  return bodyBytes
}

export function badFrame(why: string): PagemeshError {
  return new PagemeshError('bad-frame', `The other agent sent a frame that cannot be read: ${why}.`, {
    fault: 'peer',
    phase: 'handoff',
    advice: 'Check that both hosts run the same version of Pagemesh.',
  })
}
