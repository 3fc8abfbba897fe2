/**
 * One batch of a passage: a piece of QEMU's stream as ops.
 *
 *   batch    = header ops&raw ids literals
 *   header   = sequence:u32 streamBytes:u32 digest:32 literals:u32 refs:u32
 *              opsBytes:u32 rawBytes:u32 packedBytes:u32 literalWireBytes:u32
 *   ops&raw  = the ops, then the raw bytes, together under zstd (uncompressed if that is not smaller)
 *   op       = varint of  count * 4 + kind:   raw bytes | literal pages | refs | one page sent before
 *   ids      = refs x 16 bytes, in order
 *   literals = pages in order under zstd (uncompressed if that is not smaller)
 *
 * `digest` covers the whole stream up to and including this batch: `batchdigest.ts`. A varint is unsigned LEB128, at
 * most 5 bytes.
 */
import { DIGEST_BYTES, ID_BYTES, looksPackable, packNow, PAGE_BYTES } from '../page/index.ts'
import type { CompressionLevel } from './compression.ts'
import { badFrame } from './frames.ts'

export const OP_RAW = 0
export const OP_LITERAL = 1
export const OP_REF = 2
/** Here `count` is the page's ordinal among the literals of this passage, modulo SENT_PAGES. */
export const OP_SENT = 3

/**
 * QEMU's bytes in one batch: 64 pages with their headers. This is about a socket's buffer, so that QEMU fills the
 * buffer while the agent processes a batch. Larger batches save 1 % of the bytes and cost a tenth more time.
 */
export const BATCH_STREAM_BYTES = 64 * (PAGE_BYTES + 8)
export const BATCH_HEADER_BYTES = 24 + DIGEST_BYTES + 8

/** Ops and raw bytes this many times smaller than the literals are not compressed: it would take 0.1 ms. */
const SMALL_BESIDE = 64

/** Limits that apply while decoding. */
export const BATCH_LIMITS = {
  /** More than a batch of this version: the other end may run another version. */
  streamBytes: BATCH_STREAM_BYTES + 64 * 1024,
  /** Each op but the last raw one stands for a page or for the bytes between two pages. */
  opsBytes: 64 * 1024,
}

/** Most pages of one batch. */
export const BATCH_PAGES_MAX = Math.floor(BATCH_LIMITS.streamBytes / PAGE_BYTES)

export interface BatchHeader {
  sequence: number
  /** Bytes of QEMU's stream that the batch stands for. */
  streamBytes: number
  digest: Uint8Array
  literals: number
  refs: number
  opsBytes: number
  rawBytes: number
  /** Bytes of ops and raw together on the wire; equal to their sum when stored. */
  packedBytes: number
  /** Bytes of the literals on the wire; equal to literals * PAGE_BYTES when stored. */
  literalWireBytes: number
}

/** A batch as ops, before compression. */
export interface EncodedBatch {
  sequence: number
  /** The bytes that QEMU wrote; kept for refs that are asked back until the batch is acknowledged. */
  stream: Buffer
  digest: Uint8Array
  ops: Buffer
  raw: Buffer
  /** Ids of the refs, 16 bytes each, in order. */
  refIds: Buffer
  /** Offset in `stream` of each ref's page. */
  refOffsets: Uint32Array
  literals: Buffer
}

/** A batch for the wire: the body of its frame is the header followed by the parts. */
export interface PackedBatch {
  header: Buffer
  parts: Buffer[]
  literalWireBytes: number
  wireBytes: number
}

/**
 * Compresses the parts of a batch, synchronously: handing them to other threads takes three times the CPU time.
 * @param init.level level for the literals; raw bytes are few, and are compressed where it matters.
 */
export function packBatch(batch: EncodedBatch, init: { level: CompressionLevel }): PackedBatch {
  const isWorthIt = init.level > 0 && looksPackable(batch.literals)
  const literals = isWorthIt ? packNow(batch.literals, init.level) : batch.literals
  const plainBytes = batch.ops.length + batch.raw.length
  // An all-raw stream may be encrypted and so incompressible.
  const staysPlain = plainBytes * SMALL_BESIDE <= literals.length || !looksPackable(batch.raw)
  const opsAndRaw = staysPlain ? [batch.ops, batch.raw] : [packNow(Buffer.concat([batch.ops, batch.raw]))]
  const header = encodeBatchHeader({
    sequence: batch.sequence,
    streamBytes: batch.stream.length,
    digest: batch.digest,
    literals: batch.literals.length / PAGE_BYTES,
    refs: batch.refOffsets.length,
    opsBytes: batch.ops.length,
    rawBytes: batch.raw.length,
    packedBytes: bytesOf(opsAndRaw),
    literalWireBytes: literals.length,
  })
  const parts = [...opsAndRaw, batch.refIds, literals]
  return { header, parts, literalWireBytes: literals.length, wireBytes: header.length + bytesOf(parts) }
}

function bytesOf(parts: readonly Buffer[]): number {
  return parts.reduce((sum, part) => sum + part.length, 0)
}

export function encodeBatchHeader(header: BatchHeader): Buffer {
  const bytes = Buffer.allocUnsafe(BATCH_HEADER_BYTES)
  let at = bytes.writeUInt32BE(header.sequence, 0)
  at = bytes.writeUInt32BE(header.streamBytes, at)
  bytes.set(header.digest, at)
  at += DIGEST_BYTES
  at = bytes.writeUInt32BE(header.literals, at)
  at = bytes.writeUInt32BE(header.refs, at)
  at = bytes.writeUInt32BE(header.opsBytes, at)
  at = bytes.writeUInt32BE(header.rawBytes, at)
  at = bytes.writeUInt32BE(header.packedBytes, at)
  bytes.writeUInt32BE(header.literalWireBytes, at)
  return bytes
}

/** Throws PagemeshError `bad-frame` if a length exceeds its limit or does not match the body. */
export function decodeBatchHeader(body: Buffer): BatchHeader {
  if (body.length < BATCH_HEADER_BYTES) throw badFrame('a batch is cut short')
  const counts = 8 + DIGEST_BYTES
  const header: BatchHeader = {
    sequence: body.readUInt32BE(0),
    streamBytes: body.readUInt32BE(4),
    digest: body.subarray(8, counts),
    literals: body.readUInt32BE(counts),
    refs: body.readUInt32BE(counts + 4),
    opsBytes: body.readUInt32BE(counts + 8),
    rawBytes: body.readUInt32BE(counts + 12),
    packedBytes: body.readUInt32BE(counts + 16),
    literalWireBytes: body.readUInt32BE(counts + 20),
  }
  const { streamBytes, literals, refs, opsBytes, rawBytes, packedBytes, literalWireBytes } = header
  if (streamBytes > BATCH_LIMITS.streamBytes) throw badFrame(`a batch claims ${streamBytes} bytes of stream`)
  if (opsBytes > BATCH_LIMITS.opsBytes) throw badFrame(`a batch claims ${opsBytes} bytes of ops`)
  if (rawBytes + (literals + refs) * PAGE_BYTES > streamBytes) throw badFrame('a batch claims more than it stands for')
  if (packedBytes > opsBytes + rawBytes) throw badFrame('packed ops are larger than unpacked ones')
  if (literalWireBytes > literals * PAGE_BYTES) throw badFrame('packed literals are larger than unpacked ones')
  if (body.length !== BATCH_HEADER_BYTES + packedBytes + refs * ID_BYTES + literalWireBytes) {
    throw badFrame('the parts of a batch do not add up')
  }
  return header
}

/** Writes ops into a growing buffer; consecutive ones of one kind become one op. */
export class OpWriter {
  readonly #bytes = Buffer.allocUnsafe(BATCH_LIMITS.opsBytes)
  #length = 0
  #kind = -1
  #count = 0

  push(kind: number, count: number): void {
    if (count === 0 && kind !== OP_SENT) return
    if (kind === this.#kind && kind !== OP_SENT) {
      this.#count += count
      return
    }
    this.#flush()
    this.#kind = kind
    this.#count = count
  }

  /** The ops so far, valid until the next `clear`. */
  finish(): Buffer {
    this.#flush()
    return this.#bytes.subarray(0, this.#length)
  }

  clear(): void {
    this.#length = 0
    this.#kind = -1
  }

  #flush(): void {
    if (this.#kind === -1) return
    let rest = this.#count * 4 + this.#kind
    while (rest >= 0x80) {
      this.#bytes[this.#length++] = (rest & 0x7f) | 0x80
      rest = Math.floor(rest / 0x80)
    }
    this.#bytes[this.#length++] = rest
    this.#kind = -1
  }
}

/** Reads ops in order: `next` sets `kind` and `count`, or returns false at the end. */
export class OpReader {
  kind = OP_RAW
  count = 0
  readonly #bytes: Uint8Array
  #at = 0

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
  }

  next(): boolean {
    if (this.#at >= this.#bytes.length) return false
    let value = 0
    let factor = 1
    let byte: number
    do {
      if (this.#at >= this.#bytes.length || factor > 2 ** 28) throw badFrame('an op does not end')
      byte = this.#bytes[this.#at++]!
      value += (byte & 0x7f) * factor
      factor *= 0x80
    } while (byte >= 0x80)
    this.kind = value % 4
    this.count = Math.floor(value / 4)
    return true
  }
}
