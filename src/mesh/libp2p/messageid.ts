import { Blake3Hasher } from '@napi-rs/blake-hash'

import { bufferOver } from '../../bytes/bufferover.ts'

/** Message ids by which gossipsub recognises copies without verifying their signatures. */
export function messageIds(): (message: { signature?: Uint8Array; data?: Uint8Array }) => string {
  const hasher = new Blake3Hasher()
  return ({ signature, data }) => {
    hasher.reset()
    for (const part of [signature, data]) if (part !== undefined && part.length > 0) hasher.update(bufferOver(part))
    return hasher.digest('hex')
  }
}
