import { Blake3Hasher } from '@napi-rs/blake-hash'

import { assert } from '../runtime/assert.ts'
import { ID_BYTES, PAGE_BYTES } from './size.ts'

/**
 * Makes page ids, a batch at a time. The id of a page is the first 16 bytes of BLAKE3 over its 4096 bytes,
 * keyed with the page key, so that an id tells nothing to who does not hold the cluster key.
 */
export interface PageHasher {
  /**
   * Hashes `count` pages that lie one after the other in `pages` from byte `offset`,
   * and writes their ids one after the other into `ids` from byte `idOffset`.
   */
  hashPages(pages: Uint8Array, offset: number, count: number, ids: Uint8Array, idOffset: number): void
  /** Hashes pages that lie apart: page i begins at byte `offsets[i]`; ids go into `ids` from its start. */
  hashScattered(pages: Uint8Array, offsets: Uint32Array, count: number, ids: Uint8Array): void
}

/** @param pageKey 32 bytes, derived from the cluster key. */
export function createPageHasher(pageKey: Uint8Array): PageHasher {
  assert(pageKey.length === 32, 'a page key has 32 bytes')
  const hasher = Blake3Hasher.newKeyed(Buffer.from(pageKey))
  // The page is copied here first: handing the hasher one and the same view costs less than a new view a page.
  const page = Buffer.from(new ArrayBuffer(PAGE_BYTES))
  const hashOne = (pages: Buffer, offset: number, ids: Buffer, idOffset: number): void => {
    pages.copy(page, 0, offset, offset + PAGE_BYTES)
    hasher.reset()
    hasher.update(page)
    // As hex: measured at twice the rate of digestBuffer(), whose external buffer costs more than the hash itself.
    ids.hexWrite(hasher.digest('hex'), idOffset, ID_BYTES)
  }
  return {
    hashPages(pages, offset, count, ids, idOffset) {
      const view = bufferOver(ids)
      const from = bufferOver(pages)
      for (let i = 0; i < count; i++) hashOne(from, offset + i * PAGE_BYTES, view, idOffset + i * ID_BYTES)
    },
    hashScattered(pages, offsets, count, ids) {
      const view = bufferOver(ids)
      const from = bufferOver(pages)
      for (let i = 0; i < count; i++) hashOne(from, offsets[i]!, view, i * ID_BYTES)
    },
  }
}

function bufferOver(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

declare global {
  interface Buffer {
    /** Node's own, left out of its types: writes hex digits as bytes, without looking at an encoding's name. */
    hexWrite(text: string, offset: number, byteCount: number): number
  }
}
