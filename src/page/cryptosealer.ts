import { createCipheriv, createDecipheriv, createSecretKey } from 'node:crypto'

import { bufferOver } from '../bytes/bufferover.ts'
import { BOUND_BYTES, NONCE_AT, NONCE_BYTES, SEAL_BYTES, TAG_AT, type PageSealer } from './sealed.ts'
import { PAGE_BYTES } from './size.ts'

const CIPHER = 'aes-256-gcm'
const OPTIONS = { authTagLength: SEAL_BYTES - TAG_AT }

/** Seals with Node's own functions: what the kernel does, in several times the time. */
export function createCryptoSealer(key: Uint8Array): PageSealer {
  const secret = createSecretKey(key)
  return {
    seal({ pages, offsets, sealed, places, bound }, first, behind, nonces) {
      for (let entry = first; entry < behind; entry++) {
        const at = places[entry]!
        const nonce = nonces.subarray((entry - first) * NONCE_BYTES, (entry - first + 1) * NONCE_BYTES)
        const cipher = createCipheriv(CIPHER, secret, nonce, OPTIONS)
        cipher.setAAD(bound.subarray(entry * BOUND_BYTES, (entry + 1) * BOUND_BYTES))
        sealed.set(cipher.update(pages.subarray(offsets[entry], offsets[entry]! + PAGE_BYTES)), at + SEAL_BYTES)
        cipher.final()
        sealed.set(nonce, at + NONCE_AT)
        sealed.set(cipher.getAuthTag(), at + TAG_AT)
      }
    },
    open({ pages, offsets, sealed, places, bound }, first, behind, isOpen) {
      for (let entry = first; entry < behind; entry++) {
        const at = places[entry]!
        const decipher = createDecipheriv(CIPHER, secret, sealed.subarray(at + NONCE_AT, at + TAG_AT), OPTIONS)
        decipher.setAAD(bound.subarray(entry * BOUND_BYTES, (entry + 1) * BOUND_BYTES))
        decipher.setAuthTag(bufferOver(sealed.subarray(at + TAG_AT, at + SEAL_BYTES)))
        const page = decipher.update(sealed.subarray(at + SEAL_BYTES, at + SEAL_BYTES + PAGE_BYTES))
        try {
          decipher.final()
        } catch {
          // The tag is wrong, which is all that it says.
          isOpen[entry] = 0
          continue
        }
        pages.set(page, offsets[entry])
        isOpen[entry] = 1
      }
    },
  }
}
