import { looksPackable, packNow, PAGE_BYTES } from '../page/index.ts'
import { encodeBatchHeader } from './batch.ts'
import type { EncodedBatch } from './encoder.ts'

/** A batch as it travels: the body of its frame is the header and then the parts. */
export interface PackedBatch {
  header: Buffer
  parts: Buffer[]
  literalWireBytes: number
  wireBytes: number
}

/**
 * Compresses the parts of a batch, at once: handing them to other threads costs three times the processor time.
 * @param init.compresses whether literals are; what goes raw is small, and compressed wherever that matters.
 */
export function packBatch(batch: EncodedBatch, init: { compresses: boolean }): PackedBatch {
  const isWorthIt = init.compresses && looksPackable(batch.literals)
  const literals = isWorthIt ? packNow(batch.literals) : batch.literals
  const plain = Buffer.concat([batch.ops, batch.raw])
  // Beside so many pages that travel as they are it does not matter.
  const opsAndRaw = literals.length * 2 > batch.stream.length ? plain : packNow(plain)
  const header = encodeBatchHeader({
    sequence: batch.sequence,
    streamBytes: batch.stream.length,
    digest: batch.digest,
    literals: batch.literals.length / PAGE_BYTES,
    refs: batch.refOffsets.length,
    opsBytes: batch.ops.length,
    rawBytes: batch.raw.length,
    packedBytes: opsAndRaw.length,
    literalWireBytes: literals.length,
  })
  const parts = [opsAndRaw, batch.refIds, literals]
  const wireBytes = parts.reduce((sum, part) => sum + part.length, header.length)
  return { header, parts, literalWireBytes: literals.length, wireBytes }
}
