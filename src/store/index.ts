/**
 * The pages kept beyond what is resident in guests: on disk, found by id, within a budget, and still there after a
 * restart. Pages go in and out in batches, and whatever comes out is verified by its reader.
 *
 * Nothing implements this yet: here stands what the rest may expect of it.
 */
import type { PageSource } from '../page/index.ts'

export interface PageStore extends PageSource {
  readonly kind: 'store'
  readonly pages: number
  /** Disk that is taken, and its bound `store.maxBytes`. */
  readonly bytes: number
  readonly bytesMax: number
  /** Whether a page with this prefix is kept. `prefixBits` from 32 to 64. */
  has(prefixHigh: number, prefixLow: number, prefixBits: number): boolean
  /** Keeps pages: `ids` of 16 bytes, `pages` of 4096 bytes, as many and in the same order. */
  keep(ids: Uint8Array, pages: Uint8Array): Promise<void>
  drop(ids: Uint8Array): Promise<void>
}
