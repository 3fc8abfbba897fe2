import { looksPackable, pack, PAGE_BYTES } from '../page/index.ts'
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
 * Compresses the parts of a batch, on other threads where that is worth the way.
 * @param init.compresses whether literals are; what goes raw is small, and always compressed.
 * @param init.suspectsNoise the batch before did not shrink: look at a sample of the literals before compressing all.
 */
export async function packBatch(
  batch: EncodedBatch, init: { compresses: boolean; suspectsNoise: boolean },
): Promise<PackedBatch> {
  const isWorthIt = init.compresses && (!init.suspectsNoise || looksPackable(batch.literals))
  const [opsAndRaw, literals] = await Promise.all([
    pack(Buffer.concat([batch.ops, batch.raw])), isWorthIt ? pack(batch.literals) : batch.literals,
  ])
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
