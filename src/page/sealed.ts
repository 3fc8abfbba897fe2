/**
 * How a page is sealed, by itself, with AES-256-GCM. It takes SEAL_BYTES more than a page:
 *
 *   sealed = mark nonce tag page
 *   mark   = 4 bytes, the caller's    nonce = 12 bytes    tag = 16 bytes    page = 4096 bytes, encrypted
 */

export const SEAL_BYTES = 32
export const NONCE_BYTES = 12
export const NONCE_AT = 4
export const TAG_AT = NONCE_AT + NONCE_BYTES
/** Authenticated with each page: what it is bound to. */
export const BOUND_BYTES = 16

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
