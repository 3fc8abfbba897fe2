import { Blake3Hasher } from '@napi-rs/blake-hash'

import { bufferOver } from '../bytes/bufferover.ts'

/** Bytes of a stream digest. */
export const DIGEST_BYTES = 32

/**
 * The digest of a stream of batches, chained: each batch's digest covers the digest before it and the batch's content,
 * so that two equal digests prove equal streams up to there. The chain starts with 32 zeros.
 */
export interface StreamDigest {
  /** The digest after `parts`, in order, if the digest before them was `previous`. */
  after(previous: Uint8Array, ...parts: readonly Uint8Array[]): Uint8Array
}

export function createStreamDigest(): StreamDigest {
  const hasher = new Blake3Hasher()
  return {
    after(previous, ...parts) {
      hasher.reset()
      hasher.update(bufferOver(previous))
      for (const part of parts) hasher.update(bufferOver(part))
      return new Uint8Array(hasher.digestBuffer())
    },
  }
}
