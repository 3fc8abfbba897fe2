/**
 * What the digest of a batch covers: the pages by their ids, which both ends have to know anyway, and the rest by its
 * bytes.
 *
 *   digest = BLAKE3(digest before, streamBytes:u32, pages:u32, offset of each page:u32*, id of each page:16*, raw)
 *
 * The number of pages says where offsets and ids end, and what remains of `streamBytes` is the length of `raw`: no two
 * streams that lie differently, or that differ in a byte, are told by the same bytes. Whether a page travelled as a
 * literal, as a ref or as one sent before is left out on purpose: then an end that took one for the other cannot agree.
 */
import { createStreamDigest, ID_BYTES, PAGE_BYTES } from '../page/index.ts'
import { assert } from '../runtime/assert.ts'
import { BATCH_PAGES_MAX } from './batch.ts'

const COUNTS_BYTES = 8
const OFFSET_BYTES = 4

/** A batch as each end sees it once it has all of it. */
export interface DigestedBatch {
  streamBytes: number
  pageCount: number
  /** Where in the batch each page begins, in rising order; there may be room for more. */
  pageOffsets: Uint32Array
  /** What each page hashes to at this end, in the same order. */
  pageIds: Uint8Array
  /** All that is in no page, in order. */
  raw: Uint8Array
}

export class BatchDigest {
  readonly #digest = createStreamDigest()
  readonly #layout = Buffer.alloc(COUNTS_BYTES + BATCH_PAGES_MAX * (OFFSET_BYTES + ID_BYTES))

  /** The digest of the stream up to and with this batch, when the one in front of it was `previous`. */
  after(previous: Uint8Array, { streamBytes, pageCount, pageOffsets, pageIds, raw }: DigestedBatch): Uint8Array {
    assert(pageCount <= BATCH_PAGES_MAX, 'a batch has no more pages than its bytes hold')
    assert(raw.length === streamBytes - pageCount * PAGE_BYTES, 'what is in no page is raw')
    const layout = this.#layout
    let at = layout.writeUInt32BE(streamBytes, 0)
    at = layout.writeUInt32BE(pageCount, at)
    for (let page = 0; page < pageCount; page++) at = layout.writeUInt32BE(pageOffsets[page]!, at)
    layout.set(pageIds.subarray(0, pageCount * ID_BYTES), at)
    return this.#digest.after(previous, layout.subarray(0, at + pageCount * ID_BYTES), raw)
  }
}
