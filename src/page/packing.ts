import { promisify } from 'node:util'
import { constants, zstdCompress, zstdCompressSync, zstdDecompressSync } from 'node:zlib'

import { PagemeshError, systemErrorCode } from '../runtime/errors.ts'

const compress = promisify(zstdCompress)

/** zstd level; on memory pages level 3 would save 6 % more bytes for a third more CPU time. */
const PAGES_LEVEL = 1

/**
 * The largest window that is decompressed with, as a power of two: that of the highest level in use. A frame of nine
 * bytes may ask for 128 MiB otherwise.
 */
const WINDOW_LOG_MAX = 22

/** Below this size compression is synchronous: handing the work to another thread would cost more. */
const AT_ONCE_BYTES = 16 * 1024

/** Size of each sample; samples come from the beginning, the middle and the end. */
const SAMPLE_BYTES = 4096
/** Least share of repeated words or zeros in the samples: below it, compression is not worth the time. */
const REPEATED_MIN = 1 / 20
/** Entropy, in bits a byte, of noise with this share of zeros. */
const ENTROPY_MAX = 7.886
const WORD_BYTES = 4
const counts = new Uint32Array(256)
/** The last word seen for each hash. */
const seen = new Int32Array(2 ** 12)

/**
 * Whether the bytes are worth compressing, judged by a few samples: the entropy of byte values and the share of
 * repeated words. Compressing the samples would take ten times as long.
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

/** Entropy in bits a byte of `total` bytes with these counts of each value. */
function entropyOf(byteCounts: Uint32Array, total: number): number {
  let entropy = 0
  for (const count of byteCounts) if (count > 0) entropy += (count / total) * Math.log2(total / count)
  return entropy
}

function paramsOf(level: number): Record<number, number> {
  return { [constants.ZSTD_c_compressionLevel]: level }
}

/** Compresses with zstd; resolves to the same bytes if that is not smaller. Do not change the bytes meanwhile. */
export async function pack(bytes: Buffer): Promise<Buffer> {
  if (bytes.length === 0) return bytes
  // Room for a usual result: Node switches threads each time that a chunk is full.
  const options = { params: paramsOf(PAGES_LEVEL), chunkSize: Math.max(1024, bytes.length >>> 1) }
  const packed = bytes.length <= AT_ONCE_BYTES ? zstdCompressSync(bytes, options) : await compress(bytes, options)
  return packed.length < bytes.length ? packed : bytes
}

/** As `pack`, but synchronous: takes a third of the CPU time and blocks this thread. */
export function packNow(bytes: Buffer, level = PAGES_LEVEL): Buffer {
  if (bytes.length === 0) return bytes
  // Room for the largest result: joining several chunks would cost as much as compressing.
  const chunkSize = bytes.length + (bytes.length >>> 7) + 1024
  const packed = zstdCompressSync(bytes, { params: paramsOf(level), chunkSize })
  return packed.length < bytes.length ? packed : bytes
}

/** Reverses `pack`. Throws PagemeshError `bad-frame` unless the result has `length` bytes. */
export function unpack(packed: Buffer, length: number): Buffer {
  if (packed.length === length) return packed
  const room = Math.max(64, length)
  let bytes: Buffer
  try {
    // Synchronous: a batch takes less than a millisecond, and the next step waits for it anyway.
    // One byte more than needed: when a chunk is full, Node allocates another one and copies.
    bytes = zstdDecompressSync(packed, {
      maxOutputLength: room, chunkSize: room + 1, params: { [constants.ZSTD_d_windowLogMax]: WINDOW_LOG_MAX },
    })
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
