import { promisify } from 'node:util'
import { constants, zstdCompress, zstdCompressSync, zstdDecompress, zstdDecompressSync } from 'node:zlib'

import { badFrame } from './wire.ts'

const compress = promisify(zstdCompress)
const decompress = promisify(zstdDecompress)

/** Level 1: on memory pages level 3 saves 6 % more bytes for a third more CPU time. */
const PAGES = { params: { [constants.ZSTD_c_compressionLevel]: 1 } }

/** Below this many bytes the work is done at once: a trip to another thread costs more than it. */
const AT_ONCE_BYTES = 16 * 1024

/** Bytes under zstd, or the very same bytes where that would not be smaller. The bytes must not change meanwhile. */
export async function pack(bytes: Buffer): Promise<Buffer> {
  if (bytes.length === 0) return bytes
  const packed = bytes.length <= AT_ONCE_BYTES ? zstdCompressSync(bytes, PAGES) : await compress(bytes, PAGES)
  return packed.length < bytes.length ? packed : bytes
}

/** Reverses `pack`; `length` is what must come out. Throws PagemeshError `bad-frame` otherwise. */
export async function unpack(packed: Buffer, length: number): Promise<Buffer> {
  if (packed.length === length) return packed
  const options = { maxOutputLength: Math.max(1, length) }
  let bytes: Buffer
  try {
    bytes = length <= AT_ONCE_BYTES ? zstdDecompressSync(packed, options) : await decompress(packed, options)
  } catch {
    throw badFrame('compressed bytes are damaged')
  }
  if (bytes.length !== length) throw badFrame(`compressed bytes yield ${bytes.length} bytes instead of ${length}`)
  return bytes
}
