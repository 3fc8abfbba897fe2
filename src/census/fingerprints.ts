import type { SortedTable } from '../page/index.ts'
import { nextTurn } from '../runtime/turn.ts'
import { numberOf } from './place.ts'

/**
 * The scan before, by page number: 16 bits of the page's id, 0 for an absent or a zero page. One changed page in
 * 65 535 passes for unchanged, which costs a few bytes of a report.
 */
export type Fingerprints = Uint16Array<ArrayBuffer>

/** Entries written before the thread yields: a few ms. */
const TURN_ENTRIES = 2 ** 18

export function fingerprintOf(low: number): number {
  return (low & 0xffff) || 1
}

/** Size of the fingerprints of `pageCount` pages, bytes. */
export function fingerprintBytes(pageCount: number): number {
  return pageCount * Uint16Array.BYTES_PER_ELEMENT
}

/**
 * Derives the fingerprints for the next scan from a table: those of the locations in it. For a table with all pages of
 * its guest these suffice. Further copies of a page are not in the table and get none.
 */
export async function fingerprintsOf(table: SortedTable, pageCount: number): Promise<Fingerprints> {
  const fingerprints = new Uint16Array(pageCount)
  for (let index = 0; index < table.size; index++) {
    fingerprints[numberOf(table.valueAt(index))] = fingerprintOf(table.lowAt(index))
    if (index % TURN_ENTRIES === TURN_ENTRIES - 1) await nextTurn()
  }
  return fingerprints
}
