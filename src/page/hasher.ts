import { assert } from '../runtime/assert.ts'
import { loadKernel } from './kernel/kernel.ts'
import { createPackageHasher } from './packagehasher.ts'

/**
 * Computes page ids, a batch at a time. The id of a page is the first 16 bytes of BLAKE3 over its 4096 bytes, keyed
 * with the page key, so that an id reveals nothing without the cluster key.
 */
export interface PageHasher {
  /**
   * Hashes `count` consecutive pages from byte `offset` of `pages`, and writes their ids consecutively from byte
   * `idOffset` of `ids`.
   */
  hashPages(pages: Uint8Array, offset: number, count: number, ids: Uint8Array, idOffset: number): void
  /** Hashes pages at any positions: page i begins at byte `offsets[i]`; ids go into `ids` from its start. */
  hashScattered(pages: Uint8Array, offsets: Uint32Array, count: number, ids: Uint8Array): void
}

/**
 * Hashes with the kernel, a batch in one call, or with the package if there is no kernel: the ids are the same.
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
