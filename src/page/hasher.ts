import { assert } from '../runtime/assert.ts'
import { loadKernel } from './kernel/kernel.ts'
import { createPackageHasher } from './packagehasher.ts'

/** Hashes pages that are said to be of certain ids. */
export interface PageVerifier {
  /**
   * Hashes pages at any positions: page i begins at byte `offsets[i]`, its id goes to byte `i * ID_BYTES` of `ids`. The
   * id that it is said to have begins at the same byte of `wanted`, with 8 bytes at least. Where several keys may have
   * made that id, `ids` gets the one that begins like it, if there is one. `ids` and `wanted` do not overlap.
   */
  hashLike(pages: Uint8Array, offsets: Uint32Array, count: number, wanted: Uint8Array, ids: Uint8Array): void
}

/**
 * Computes page ids, a batch at a time. The id of a page is the first 16 bytes of BLAKE3 over its 4096 bytes, keyed
 * with the page key, so that an id reveals nothing without that key.
 */
export interface PageHasher extends PageVerifier {
  /** 32 bytes; another thread makes the same hasher of it. */
  readonly pageKey: Uint8Array
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
    pageKey: key,
    hashPages: (pages, offset, count, ids, idOffset) => kernel.hash(key, pages, offset, count, ids, idOffset),
    hashScattered: (pages, offsets, count, ids) => kernel.hash(key, pages, offsets, count, ids, 0),
    hashLike: (pages, offsets, count, _wanted, ids) => kernel.hash(key, pages, offsets, count, ids, 0),
  }
}
