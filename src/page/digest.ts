import { Blake3Hasher } from '@napi-rs/blake-hash'

import { bufferOver } from '../bytes/bufferover.ts'

/** Bytes of a stream digest. */
export const DIGEST_BYTES = 32

/**
 * The digest of a stream that comes in batches: each batch's digest is that of the digest before it and of what stands
 * for the batch, so that two equal ones say that everything up to there is equal. The first follows on 32 zeros.
 */
export interface StreamDigest {
  /** The digest behind `parts`, one after the other, when the one in front of them was `previous`. */
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
