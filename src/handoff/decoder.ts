import { createStreamDigest, DIGEST_BYTES, ID_BYTES, PAGE_BYTES, PageBatch, unpack } from '../page/index.ts'
import { BufferPool } from '../runtime/bufferpool.ts'
import { PagemeshError } from '../runtime/errors.ts'
import {
  BATCH_HEADER_BYTES, BATCH_LIMITS, decodeBatchHeader, OP_LITERAL, OP_RAW, OP_REF, OP_SENT, OpReader, type BatchHeader,
} from './batch.ts'
import { SentPages } from './sentpages.ts'
import { WINDOW_BATCHES_MAX } from './window.ts'
import { badFrame } from './wire.ts'

/** A batch taken apart, its compressed parts unpacked. */
export interface UnpackedBatch {
  header: BatchHeader
  ops: Buffer
  raw: Buffer
  refIds: Buffer
  literals: Buffer
}

/** A batch as QEMU's bytes again, but for the refs, whose places in `stream` are still empty. */
export interface AssembledBatch {
  sequence: number
  stream: Buffer
  /** What the source says of the stream in front of this batch, and with it. */
  previousDigest: Uint8Array
  digest: Uint8Array
  refs: PageBatch
  /** Where in `stream` the page of each ref belongs. */
  refOffsets: Uint32Array
  sentBefore: number
}

/** Decodes and unpacks one batch. Throws PagemeshError `bad-frame`. */
export function unpackBatch(body: Buffer): UnpackedBatch {
  const header = decodeBatchHeader(body)
  const idsAt = BATCH_HEADER_BYTES + header.packedBytes
  const literalsAt = idsAt + header.refs * ID_BYTES
  const opsAndRaw = unpack(body.subarray(BATCH_HEADER_BYTES, idsAt), header.opsBytes + header.rawBytes)
  return {
    header,
    ops: opsAndRaw.subarray(0, header.opsBytes),
    raw: opsAndRaw.subarray(header.opsBytes),
    refIds: body.subarray(idsAt, literalsAt),
    literals: unpack(body.subarray(literalsAt), header.literals * PAGE_BYTES),
  }
}

/** Buffers kept for use again: two for each batch of a full window. */
const SPARES_MAX = 2 * WINDOW_BATCHES_MAX

/** Puts batches together again, and checks each against its digest before it leaves. */
export class Decoder {
  readonly #pool = new BufferPool(BATCH_LIMITS.streamBytes, SPARES_MAX)
  readonly #sent = new SentPages()
  readonly #digest = createStreamDigest()
  #nextSequence = 0
  #lastDigest: Uint8Array = new Uint8Array(DIGEST_BYTES)

  /** Batches must come in order. Throws PagemeshError `bad-frame` where the ops do not fit the parts. */
  assemble(batch: UnpackedBatch): AssembledBatch {
    const { header, raw, literals } = batch
    if (header.sequence !== this.#nextSequence) {
      throw badFrame(`batch ${header.sequence} came where ${this.#nextSequence} was due`)
    }
    this.#nextSequence += 1
    const stream = this.#pool.take().subarray(0, header.streamBytes)
    const refOffsets = new Uint32Array(header.refs)
    const ops = new OpReader(batch.ops)
    let at = 0
    let rawAt = 0
    let literalAt = 0
    let refs = 0
    let sentBefore = 0
    while (ops.next()) {
      const { kind, count } = ops
      const bytes = kind === OP_RAW ? count : kind === OP_SENT ? PAGE_BYTES : count * PAGE_BYTES
      if (at + bytes > stream.length) throw badFrame('the ops of a batch exceed its stream bytes')
      if (kind === OP_RAW) {
        if (rawAt + count > raw.length) throw badFrame('the ops of a batch name more raw bytes than it has')
        rawAt += raw.copy(stream, at, rawAt, rawAt + count)
      } else if (kind === OP_LITERAL) {
        if (literalAt + bytes > literals.length) throw badFrame('the ops of a batch name more literals than it has')
        literals.copy(stream, at, literalAt, literalAt + bytes)
        for (let i = 0; i < count; i++) this.#sent.add(literals, literalAt + i * PAGE_BYTES)
        literalAt += bytes
      } else if (kind === OP_REF) {
        if (refs + count > header.refs) throw badFrame('the ops of a batch name more refs than it has')
        for (let i = 0; i < count; i++) refOffsets[refs++] = at + i * PAGE_BYTES
      } else {
        if (!this.#sent.copy(count, stream, at)) throw badFrame('a batch names a page that was never sent')
        sentBefore += 1
      }
      at += bytes
    }
    if (at !== stream.length || rawAt !== raw.length || literalAt !== literals.length || refs !== header.refs) {
      throw badFrame('the ops of a batch leave parts of it over')
    }
    const previousDigest = this.#lastDigest
    // Copied, so that the frame that it came in need not be kept.
    this.#lastDigest = Uint8Array.from(header.digest)
    return {
      sequence: header.sequence,
      stream,
      previousDigest,
      digest: this.#lastDigest,
      refs: new PageBatch(Uint8Array.from(batch.refIds), this.#pool.take()),
      refOffsets,
      sentBefore,
    }
  }

  /**
   * Puts the refs in their places and compares digests. If it is the right one, and that of every batch before was,
   * then not a byte differs from what the source took from QEMU, wherever the refs were filled from.
   */
  complete(batch: AssembledBatch): boolean {
    const { stream, refs, refOffsets } = batch
    for (let i = 0; i < refs.count; i++) {
      refs.bytes.copy(stream, refOffsets[i]!, i * PAGE_BYTES, (i + 1) * PAGE_BYTES)
    }
    const own = this.#digest.after(batch.previousDigest, stream)
    for (let i = 0; i < DIGEST_BYTES; i++) if (own[i] !== batch.digest[i]) return false
    return true
  }

  /** Gives the memory of a batch back once QEMU has taken it. */
  recycle(batch: AssembledBatch): void {
    this.#pool.give(batch.stream)
    this.#pool.give(batch.refs.bytes)
  }
}

/** Not one byte of this batch may reach QEMU. */
export function digestMismatch(sequence: number): PagemeshError {
  return new PagemeshError(
    'digest-mismatch',
    'The stream put together at the destination is not the one that the source QEMU wrote; nothing of it was released.',
    {
      fault: 'host', phase: 'handoff', data: { sequence },
      advice: 'The guest goes on at the source. Please report this.',
    },
  )
}
