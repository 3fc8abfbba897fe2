/**
 * What the two ends of a passage say over its lane.
 *
 * Goals: the destination QEMU gets exactly the bytes that the source QEMU wrote, and the other way; references instead
 * of pages wherever the destination has them; every batch is compared by digest before QEMU sees it; an end of either
 * QEMU is passed on as an end. Non-goals: confidentiality (the lane is TLS), surviving the loss of the lane, anything
 * that is not a QEMU's bytes (that is the conversation's, on a lane of its own).
 *
 *   outgoing                                   incoming
 *      | batch 0, 1, 2 ... (ops, ids, literals) -> |  assembles, fills refs, hashes, compares, writes to QEMU
 *      | <----------------- missing (batch, refs)  |  refs that nothing here could fill rightly; once a batch
 *      | pages (batch, literals) ----------------> |
 *      | <------------------------- ack (batch)    |  QEMU took this batch, and all before it
 *      | <------------------- returned (bytes)     |  the return path, all along
 *      | <------------------------- returnedEnd    |  the destination QEMU ended its side
 *      | streamEnd ------------------------------> |  the source QEMU ended its side: behind all bytes
 *      both: a sign of life every second
 *
 *   the stream:      streaming --the source QEMU's end--> ending --streamEnd, all batches acknowledged--> ended
 *   the return path: returning --returnedEnd--> ending --all taken by the source QEMU--> ended
 *
 * Either may end first. When both have, either end closes the lane. A frame that its state does not expect, and a
 * lane that closes before, fail the passage.
 */
import { PagemeshError } from '../runtime/errors.ts'
import type { FrameTable } from './frames.ts'

/** The longest piece of the return path in one frame. */
export const RETURNED_BYTES_MAX = 2 ** 20

export type PassageFrame = 'batch' | 'missing' | 'pages' | 'ack' | 'returned' | 'returnedEnd' | 'streamEnd'

export const PASSAGE_FRAMES: FrameTable<PassageFrame> = {
  /** `batch.ts`; its own limits allow less. */
  batch: { kind: 1, bytesMin: 0, bytesMax: 512 * 1024 },
  /** The batch's sequence, and which of its refs: u32 each. */
  missing: { kind: 2, bytesMin: 8, bytesMax: 4096 },
  /** The batch's sequence (u32), and the pages under zstd, or as they are where that is not smaller. */
  pages: { kind: 3, bytesMin: 5, bytesMax: 512 * 1024 },
  ack: { kind: 4, bytesMin: 4, bytesMax: 4 },
  returned: { kind: 5, bytesMin: 1, bytesMax: RETURNED_BYTES_MAX },
  returnedEnd: { kind: 6, bytesMin: 0, bytesMax: 0 },
  streamEnd: { kind: 7, bytesMin: 0, bytesMax: 0 },
}

/** QEMU's connection at this end of the passage closed where more was due. */
export function connectionLost(end: 'source' | 'destination', cause: unknown): PagemeshError {
  return new PagemeshError('qemu-connection-lost', `The ${end} QEMU closed its migration connection too early.`, {
    fault: 'guest',
    phase: 'handoff',
    advice: 'See the log of that QEMU.',
    ...(cause === undefined ? {} : { cause }),
  })
}
