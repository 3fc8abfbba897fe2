import { createCryptoSealer } from './cryptosealer.ts'
import { loadKernel } from './kernel/kernel.ts'
import { NONCE_AT, NONCE_BYTES, type PageSealer } from './sealed.ts'

/**
 * Seals with the kernel, many pages in one call, or with Node's own functions if there is no kernel: the same comes of
 * it.
 * @param key 32 bytes.
 */
export function createPageSealer(key: Uint8Array): PageSealer {
  const kernel = loadKernel()
  if (kernel?.sealPages === undefined || kernel.openPages === undefined) return createCryptoSealer(key)
  const { sealPages, openPages } = kernel
  const own = Uint8Array.from(key)
  return {
    seal({ pages, offsets, sealed, places, bound }, first, behind, nonces) {
      for (let entry = first; entry < behind; entry++) {
        const from = (entry - first) * NONCE_BYTES
        sealed.set(nonces.subarray(from, from + NONCE_BYTES), places[entry]! + NONCE_AT)
      }
      sealPages(own, pages, offsets, sealed, places, bound, first, behind)
    },
    open({ pages, offsets, sealed, places, bound }, first, behind, isOpen) {
      openPages(own, pages, offsets, sealed, places, bound, first, behind, isOpen)
    },
  }
}
