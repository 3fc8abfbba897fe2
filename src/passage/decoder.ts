import { BufferPool } from '../bytes/bufferpool.ts'
import { DIGEST_BYTES, ID_BYTES, PAGE_BYTES, unpack } from '../page/index.ts'
import { PagemeshError } from '../runtime/errors.ts'
import {
  BATCH_HEADER_BYTES, BATCH_LIMITS, BATCH_PAGES_MAX, decodeBatchHeader, OP_LITERAL, OP_RAW, OP_REF, OpReader,
  type BatchHeader,
} from './batch.ts'
import { BatchDigest, type DigestedBatch } from './batchdigest.ts'
import { badFrame } from './frames.ts'
import { SentPages } from './sentpages.ts'
import { WINDOW_BATCHES_MAX } from './window.ts'

/** A decoded batch with its parts decompressed. */
export interface UnpackedBatch {
  header: BatchHeader
  ops: Buffer
  raw: Buffer
  refIds: Buffer
  literals: Buffer
}

/** A batch as QEMU's bytes, except that the pages of refs are still missing in `stream`. */
export interface AssembledBatch extends DigestedBatch {
  sequence: number
  stream: Buffer
  /** The source's digests of the stream before this batch, and including it. */
  previousDigest: Uint8Array
  digest: Uint8Array
  /** Room for the ids of the pages in `stream`, still unset. */
  pageIds: Buffer
  raw: Buffer
  /** The expected ids of the refs, and each ref's page number in the batch. */
  refIds: Buffer
  refPages: Uint32Array
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

/** Reassembles batches and checks each against its digest. */
export class Decoder {
  readonly #pool = new BufferPool(BATCH_LIMITS.streamBytes, WINDOW_BATCHES_MAX)
  readonly #sent = new SentPages()
  readonly #digest = new BatchDigest()
  #nextSequence = 0
  #lastDigest: Uint8Array = new Uint8Array(DIGEST_BYTES)

  /** Batches must come in order. Throws PagemeshError `bad-frame` if the ops do not match the parts. */
  assemble({ header, ops, raw, refIds, literals }: UnpackedBatch): AssembledBatch {
    if (header.sequence !== this.#nextSequence) {
      throw badFrame(`batch ${header.sequence} came where ${this.#nextSequence} was due`)
    }
    this.#nextSequence += 1
    const previousDigest = this.#lastDigest
    // Copied, so that the frame need not be kept.
    this.#lastDigest = Uint8Array.from(header.digest)
    const batch: AssembledBatch = {
      sequence: header.sequence,
      streamBytes: header.streamBytes,
      // A batch that is all raw is the stream itself.
      stream: raw.length === header.streamBytes ? raw : this.#pool.take().subarray(0, header.streamBytes),
      previousDigest,
      digest: this.#lastDigest,
      pageCount: 0,
      pageOffsets: new Uint32Array(BATCH_PAGES_MAX),
      pageIds: Buffer.allocUnsafe(BATCH_PAGES_MAX * ID_BYTES),
      raw,
      refIds: Buffer.from(refIds),
      refPages: new Uint32Array(header.refs),
      sentBefore: 0,
    }
    this.#place(batch, new OpReader(ops), literals)
    return batch
  }

  /**
   * Whether the batch is right; call it once all its pages are in place and hashed. If it and all batches before it are
   * right, every byte equals the source QEMU's, wherever the pages came from.
   */
  isRight(batch: AssembledBatch): boolean {
    const own = this.#digest.after(batch.previousDigest, batch)
    for (let i = 0; i < DIGEST_BYTES; i++) if (own[i] !== batch.digest[i]) return false
    return true
  }

  /** Returns the memory of a batch once QEMU has accepted it. */
  recycle(batch: AssembledBatch): void {
    if (batch.stream !== batch.raw) this.#pool.give(batch.stream)
  }

  #place(batch: AssembledBatch, ops: OpReader, literals: Buffer): void {
    const { stream, raw, refPages } = batch
    let at = 0
    let rawAt = 0
    let literalAt = 0
    let refs = 0
    while (ops.next()) {
      const { kind, count } = ops
      const pages = kind === OP_RAW ? 0 : kind === OP_LITERAL || kind === OP_REF ? count : 1
      const bytes = kind === OP_RAW ? count : pages * PAGE_BYTES
      if (at + bytes > stream.length) throw badFrame('the ops of a batch exceed its stream bytes')
      if (kind === OP_RAW) {
        if (rawAt + count > raw.length) throw badFrame('the ops of a batch name more raw bytes than it has')
        if (stream !== raw) raw.copy(stream, at, rawAt, rawAt + count)
        rawAt += count
      } else if (kind === OP_LITERAL) {
        if (literalAt + bytes > literals.length) throw badFrame('the ops of a batch name more literals than it has')
        literals.copy(stream, at, literalAt, literalAt + bytes)
        for (let i = 0; i < count; i++) this.#sent.add(literals, literalAt + i * PAGE_BYTES)
        literalAt += bytes
      } else if (kind === OP_REF) {
        if (refs + count > refPages.length) throw badFrame('the ops of a batch name more refs than it has')
        for (let i = 0; i < count; i++) refPages[refs++] = batch.pageCount + i
      } else {
        if (!this.#sent.copy(count, stream, at)) throw badFrame('a batch names a page that was never sent')
        batch.sentBefore += 1
      }
      for (let i = 0; i < pages; i++) batch.pageOffsets[batch.pageCount++] = at + i * PAGE_BYTES
      at += bytes
    }
    if (at !== stream.length || rawAt !== raw.length || literalAt !== literals.length || refs !== refPages.length) {
      throw badFrame('the ops of a batch do not use all its parts')
    }
  }
}

/** The error of a batch with a wrong digest: no byte of it may reach QEMU. */
export function digestMismatch(sequence: number): PagemeshError {
  return new PagemeshError(
    'digest-mismatch',
    'The stream at the destination differs from what the source QEMU wrote; QEMU got nothing of the wrong batch.',
    {
      fault: 'host', phase: 'handoff', data: { sequence },
      advice: 'The guest goes on at the source. Please report this.',
    },
  )
}
