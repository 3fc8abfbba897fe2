import { Blake3Hasher } from '@napi-rs/blake-hash'

import { bufferOver } from '../bytes/bufferover.ts'
import { assert } from '../runtime/assert.ts'
import type { PageHasher } from './hasher.ts'
import { ID_BYTES, PAGE_BYTES } from './size.ts'

/** Hashes page by page with a package from the registry, on every system: where there is no kernel, and to check it. */
export function createPackageHasher(pageKey: Uint8Array): PageHasher {
  const hasher = Blake3Hasher.newKeyed(Buffer.from(pageKey))
  // The page is copied here first: handing the hasher one and the same view costs less than a new view a page.
  const page = Buffer.from(new ArrayBuffer(PAGE_BYTES))
  const hashOne = (pages: Buffer, offset: number, ids: Buffer, idOffset: number): void => {
    // The kernel refuses these too.
    assert(offset + PAGE_BYTES <= pages.length, 'a page lies within the pages')
    assert(idOffset + ID_BYTES <= ids.length, 'there is room for every id')
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

declare global {
  interface Buffer {
    /** Node's own, left out of its types: writes hex digits as bytes, without looking at an encoding's name. */
    hexWrite(text: string, offset: number, byteCount: number): number
  }
}
