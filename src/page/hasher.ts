import { assert } from '../runtime/assert.ts'
import { loadKernel } from './kernel/kernel.ts'
import { createPackageHasher } from './packagehasher.ts'

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

/**
 * Hashes with the kernel where there is one, a batch in one call, and with the package elsewhere: ids are the same.
 * @param pageKey 32 bytes, derived from the cluster key.
 */
export function createPageHasher(pageKey: Uint8Array): PageHasher {
  assert(pageKey.length === 32, 'a page key has 32 bytes')
  const kernel = loadKernel()
  if (kernel === undefined) return createPackageHasher(pageKey)
  const key = Uint8Array.from(pageKey)
  return {
    hashPages: (pages, offset, count, ids, idOffset) => kernel.hash(key, pages, offset, count, ids, idOffset),
    hashScattered: (pages, offsets, count, ids) => kernel.hash(key, pages, offsets, count, ids, 0),
  }
}
