import { PAGE_BYTES } from './size.ts'

const ZERO_PAGE = Buffer.alloc(PAGE_BYTES)

/** Whether the page at byte `offset` of `bytes` holds only zeros. */
export function isZeroPage(bytes: Buffer, offset: number): boolean {
  // Most other pages have a nonzero byte near the start: look there before comparing the whole.
  if (bytes[offset] !== 0 || bytes[offset + 8] !== 0) return false
  return bytes.compare(ZERO_PAGE, 0, PAGE_BYTES, offset, offset + PAGE_BYTES) === 0
}
