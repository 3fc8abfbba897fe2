import { Blake3Hasher } from '@napi-rs/blake-hash'

/** Bytes of a stream digest on the wire. */
export const DIGEST_BYTES = 16

/** The digest of a stream so far: both ends of a handoff keep one and compare them before bytes go on to QEMU. */
export interface StreamDigest {
  update(bytes: Uint8Array): void
  /** The digest of everything up to now, 16 bytes; the stream may go on. */
  peek(): Uint8Array
}

export function createStreamDigest(): StreamDigest {
  const hasher = new Blake3Hasher()
  return {
    update(bytes) {
      if (bytes.length > 0) hasher.update(bytes)
    },
    peek: () => new Uint8Array(hasher.digestBuffer().subarray(0, DIGEST_BYTES)),
  }
}
