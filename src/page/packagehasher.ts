import { Blake3Hasher } from '@napi-rs/blake-hash'

import { bufferOver } from '../bytes/bufferover.ts'
import { assert } from '../runtime/assert.ts'
import type { PageHasher } from './hasher.ts'
import { ID_BYTES, PAGE_BYTES } from './size.ts'

/** Hashes page by page with an npm package, on every system: used without the kernel, and to verify the kernel. */
export function createPackageHasher(pageKey: Uint8Array): PageHasher {
  const hasher = Blake3Hasher.newKeyed(Buffer.from(pageKey))
  // Each page is copied here first: reusing one view costs less than creating a view for each page.
  const page = Buffer.from(new ArrayBuffer(PAGE_BYTES))
  const hashOne = (pages: Buffer, offset: number, ids: Buffer, idOffset: number): void => {
    // As the kernel does.
    assert(offset + PAGE_BYTES <= pages.length, 'a page lies within the pages')
    assert(idOffset + ID_BYTES <= ids.length, 'there is room for every id')
    pages.copy(page, 0, offset, offset + PAGE_BYTES)
    hasher.reset()
    hasher.update(page)
    // Hex is twice as fast as digestBuffer(), whose external buffer costs more than the hash.
    ids.hexWrite(hasher.digest('hex'), idOffset, ID_BYTES)
  }
  const hashScattered: PageHasher['hashScattered'] = (pages, offsets, count, ids) => {
    const view = bufferOver(ids)
    const from = bufferOver(pages)
    for (let i = 0; i < count; i++) hashOne(from, offsets[i]!, view, i * ID_BYTES)
  }
  return {
    pageKey: Uint8Array.from(pageKey),
    hashPages(pages, offset, count, ids, idOffset) {
      const view = bufferOver(ids)
      const from = bufferOver(pages)
      for (let i = 0; i < count; i++) hashOne(from, offset + i * PAGE_BYTES, view, idOffset + i * ID_BYTES)
    },
    hashScattered,
    hashLike: (pages, offsets, count, _wanted, ids) => hashScattered(pages, offsets, count, ids),
  }
}

declare global {
  interface Buffer {
    /** Exists in Node but is missing from its types: writes hex digits as bytes. */
    hexWrite(text: string, offset: number, byteCount: number): number
  }
}
