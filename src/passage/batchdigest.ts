/**
 * The digest of a batch covers the pages by their ids, which both ends compute anyway, and all other bytes as they are.
 *
 *   digest = BLAKE3(digest before, streamBytes:u32, pages:u32, offset of each page:u32*, id of each page:16*, raw)
 *
 * The number of pages tells where offsets and ids end, and the rest of `streamBytes` is the length of `raw`: two
 * streams with different layouts or bytes never have the same digest input. Whether a page was sent as a literal, as a
 * ref or as sent before is left out on purpose: only the resulting bytes count.
 */
import { createStreamDigest, ID_BYTES, PAGE_BYTES } from '../page/index.ts'
import { assert } from '../runtime/assert.ts'
import { BATCH_PAGES_MAX } from './batch.ts'

const COUNTS_BYTES = 8
const OFFSET_BYTES = 4

/** A complete batch, for its digest. */
export interface DigestedBatch {
  streamBytes: number
  pageCount: number
  /** Offset of each page in the batch, in rising order; the array may be longer. */
  pageOffsets: Uint32Array
  /** Ids that this end computed, in the same order. */
  pageIds: Uint8Array
  /** All bytes outside pages, in order. */
  raw: Uint8Array
}

export class BatchDigest {
  readonly #digest = createStreamDigest()
  readonly #layout = Buffer.alloc(COUNTS_BYTES + BATCH_PAGES_MAX * (OFFSET_BYTES + ID_BYTES))

  /** The digest of the stream including this batch, if the digest before it was `previous`. */
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
