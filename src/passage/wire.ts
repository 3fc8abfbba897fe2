/**
 * The protocol between the two ends of a passage, over its lane.
 *
 * Goals: the destination QEMU gets exactly the bytes that the source QEMU wrote, and the other way round; references
 * replace pages that the destination has; every batch is checked by digest before QEMU gets it; a half-close of either
 * QEMU is passed on. Non-goals: confidentiality (the lane is TLS), surviving the loss of the lane, messages other than
 * QEMU's bytes (the conversation has its own lane).
 *
 *   outgoing                                   incoming
 *      | batch 0, 1, 2 ... (ops, ids, literals) -> |  assembles, fills refs, hashes, compares, writes to QEMU
 *      | <----------------- missing (batch, refs)  |  refs that no source here could fill; at most once a batch
 *      | pages (batch, literals) ----------------> |
 *      | <------------------------- ack (batch)    |  QEMU accepted this batch, and all before it
 *      | <------------------- returned (bytes)     |  the return path, at any time
 *      | <------------------------- returnedEnd    |  the destination QEMU ended its side
 *      | streamEnd ------------------------------> |  the source QEMU ended its side: after all its bytes
 *      both: a keep-alive every second
 *
 *   the stream:      streaming --the source QEMU's end--> ending --streamEnd, all batches acknowledged--> ended
 *   the return path: returning --returnedEnd--> ending --all taken by the source QEMU--> ended
 *
 * Either may end first. When both have, either end closes the lane. A frame that the state does not expect, or a lane
 * that closes earlier, fails the passage.
 */
import { PagemeshError } from '../runtime/errors.ts'
import type { FrameTable } from './frames.ts'

/** The longest piece of the return path in one frame. */
export const RETURNED_BYTES_MAX = 2 ** 20

export type PassageFrame = 'batch' | 'missing' | 'pages' | 'ack' | 'returned' | 'returnedEnd' | 'streamEnd'

export const PASSAGE_FRAMES: FrameTable<PassageFrame> = {
  /** See `batch.ts`, whose limits allow less. */
  batch: { kind: 1, bytesMin: 0, bytesMax: 512 * 1024 },
  /** The batch's sequence, and the numbers of the missing refs: u32 each. */
  missing: { kind: 2, bytesMin: 8, bytesMax: 4096 },
  /** The batch's sequence (u32), and the pages under zstd, or uncompressed if that is not smaller. */
  pages: { kind: 3, bytesMin: 5, bytesMax: 512 * 1024 },
  ack: { kind: 4, bytesMin: 4, bytesMax: 4 },
  returned: { kind: 5, bytesMin: 1, bytesMax: RETURNED_BYTES_MAX },
  returnedEnd: { kind: 6, bytesMin: 0, bytesMax: 0 },
  streamEnd: { kind: 7, bytesMin: 0, bytesMax: 0 },
}

/** QEMU's connection at this end of the passage closed before the stream was complete. */
export function connectionLost(end: 'source' | 'destination', cause: unknown): PagemeshError {
  return new PagemeshError('qemu-connection-lost', `The ${end} QEMU closed its migration connection too early.`, {
    fault: 'guest',
    phase: 'handoff',
    advice: 'See the log of that QEMU.',
    ...(cause === undefined ? {} : { cause }),
  })
}
