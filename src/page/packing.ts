import { promisify } from 'node:util'
import { constants, zstdCompress, zstdCompressSync, zstdDecompressSync } from 'node:zlib'

import { PagemeshError, systemErrorCode } from '../runtime/errors.ts'

const compress = promisify(zstdCompress)

/** On memory pages level 3 saves 6 % more bytes for a third more CPU time. */
const PAGES_LEVEL = 1

/** Below this many bytes the work is done at once: a trip to another thread costs more than it. */
const AT_ONCE_BYTES = 16 * 1024

/** Taken from the beginning, the middle and the end, to see whether all is worth compressing. */
const SAMPLE_BYTES = 4096
/** Of the samples, what must come again or be zeros, as a share: shrinking by less is not worth the time. */
const REPEATED_MIN = 1 / 20
/** Bits a byte of noise of which so much is zeros. */
const ENTROPY_MAX = 7.886
const WORD_BYTES = 4
const counts = new Uint32Array(256)
/** The last word of each hash. */
const seen = new Int32Array(2 ** 12)

/**
 * Whether bytes like these shrink enough: looks at a few of them only, at how evenly their values are spread and how
 * many words come again. Compressing the samples would take ten times as long.
 */
export function looksPackable(bytes: Buffer): boolean {
  if (bytes.length <= 3 * SAMPLE_BYTES) return true
  counts.fill(0)
  seen.fill(0)
  let repeated = 0
  for (const from of [0, (bytes.length - SAMPLE_BYTES) >>> 1, bytes.length - SAMPLE_BYTES]) {
    for (let at = from; at < from + SAMPLE_BYTES; at += WORD_BYTES) {
      const a = bytes[at]!
      const b = bytes[at + 1]!
      const c = bytes[at + 2]!
      const d = bytes[at + 3]!
      counts[a]! += 1
      counts[b]! += 1
      counts[c]! += 1
      counts[d]! += 1
      const word = a | b << 8 | c << 16 | d << 24
      const slot = Math.imul(word, 0x9e3779b1) >>> 20
      if (seen[slot] === word) repeated += 1
      seen[slot] = word
    }
  }
  const sampled = 3 * SAMPLE_BYTES
  return repeated * WORD_BYTES > sampled * REPEATED_MIN || entropyOf(counts, sampled) < ENTROPY_MAX
}

/** Bits a byte, of `total` bytes with so many of each value. */
function entropyOf(byteCounts: Uint32Array, total: number): number {
  let entropy = 0
  for (const count of byteCounts) if (count > 0) entropy += (count / total) * Math.log2(total / count)
  return entropy
}

function paramsOf(level: number): Record<number, number> {
  return { [constants.ZSTD_c_compressionLevel]: level }
}

/** Bytes under zstd, or the very same bytes where that would not be smaller. The bytes must not change meanwhile. */
export async function pack(bytes: Buffer): Promise<Buffer> {
  if (bytes.length === 0) return bytes
  // Room for what usually comes out: Node makes a trip to another thread each time that the room is used up.
  const options = { params: paramsOf(PAGES_LEVEL), chunkSize: Math.max(1024, bytes.length >>> 1) }
  const packed = bytes.length <= AT_ONCE_BYTES ? zstdCompressSync(bytes, options) : await compress(bytes, options)
  return packed.length < bytes.length ? packed : bytes
}

/** The same at once, in this thread: a third of the processor time, but nothing else is done meanwhile. */
export function packNow(bytes: Buffer, level = PAGES_LEVEL): Buffer {
  if (bytes.length === 0) return bytes
  // Room for all that may come out: what does not fit is put together from pieces, at the price of compressing it.
  const chunkSize = bytes.length + (bytes.length >>> 7) + 1024
  const packed = zstdCompressSync(bytes, { params: paramsOf(level), chunkSize })
  return packed.length < bytes.length ? packed : bytes
}

/** Reverses `pack`; `length` is what must come out. Throws PagemeshError `bad-frame` otherwise. */
export function unpack(packed: Buffer, length: number): Buffer {
  if (packed.length === length) return packed
  const room = Math.max(64, length)
  let bytes: Buffer
  try {
    // At once, not on another thread: a batch takes less than a millisecond, and the next step waits for it anyway.
    // A byte more than it needs: where the room is used up Node makes as much again, and copies.
    bytes = zstdDecompressSync(packed, { maxOutputLength: room, chunkSize: room + 1 })
  } catch (error) {
    const isTooMuch = systemErrorCode(error) === 'ERR_BUFFER_TOO_LARGE'
    throw damaged(isTooMuch ? `they yield more than ${length} bytes` : 'they are not what zstd makes')
  }
  if (bytes.length !== length) throw damaged(`they yield ${bytes.length} bytes instead of ${length}`)
  return bytes
}

function damaged(why: string): PagemeshError {
  return new PagemeshError('bad-frame', `Compressed bytes from another host cannot be read: ${why}.`, {
    fault: 'peer', advice: 'Check that both hosts run the same version of Pagemesh.',
  })
}
