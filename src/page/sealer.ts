/**
 * Seals pages, each by itself, with AES-256-GCM. A sealed page takes SEAL_BYTES more than a page:
 *
 *   sealed = mark nonce tag page
 *   mark   = 4 bytes, the caller's    nonce = 12 bytes    tag = 16 bytes    page = 4096 bytes, encrypted
 */
import { createCipheriv, createDecipheriv, createSecretKey } from 'node:crypto'

import { bufferOver } from '../bytes/bufferover.ts'
import { PAGE_BYTES } from './size.ts'

export const SEAL_BYTES = 32
export const NONCE_BYTES = 12
/** Authenticated with each page: what it is bound to. */
export const BOUND_BYTES = 16

const CIPHER = 'aes-256-gcm'
const NONCE_AT = 4
const TAG_AT = NONCE_AT + NONCE_BYTES
const OPTIONS = { authTagLength: SEAL_BYTES - TAG_AT }

/** Pages and what they are sealed to: entry i is the page at byte `offsets[i]` of `pages`. */
export interface SealedPages {
  pages: Uint8Array
  offsets: Uint32Array
  /** Where each page is, or will be, sealed: at byte `places[i]` of `sealed`. */
  sealed: Uint8Array
  places: Uint32Array
  /** From byte `i * BOUND_BYTES` on. */
  bound: Uint8Array
}

export interface PageSealer {
  /** Seals the entries from `first` to `behind` (exclusive) with `nonces`, 12 bytes each, which no other page had. */
  seal(run: SealedPages, first: number, behind: number, nonces: Uint8Array): void
  /** Opens entries; `isOpen[i]` becomes 1 or, if it was not sealed like this and its page was left as it is, 0. */
  open(run: SealedPages, first: number, behind: number, isOpen: Uint8Array): void
}

/** @param key 32 bytes. */
export function createPageSealer(key: Uint8Array): PageSealer {
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
