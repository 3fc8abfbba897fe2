import type { SortedTable } from '../page/index.ts'
import { nextTurn } from '../runtime/turn.ts'
import { numberOf } from './place.ts'

/**
 * What the scan before found, by page number: 16 bits of the id of the page that was there, 0 for none or zeros. A page
 * that changed passes for one that stayed once in 65 535 times, which costs a few bytes of a report.
 */
export type Fingerprints = Uint16Array<ArrayBuffer>

/** Entries that are written in one go: a few ms. */
const TURN_ENTRIES = 2 ** 18

export function fingerprintOf(low: number): number {
  return (low & 0xffff) || 1
}

/** What fingerprints of so many pages take, bytes. */
export function fingerprintBytes(pageCount: number): number {
  return pageCount * Uint16Array.BYTES_PER_ELEMENT
}

/**
 * The fingerprints that a table implies, for the next scan: those of the places in it. A table that has all pages of
 * its guest needs no others beside it; of the further copies of a page, nothing is known.
 */
export async function fingerprintsOf(table: SortedTable, pageCount: number): Promise<Fingerprints> {
  const fingerprints = new Uint16Array(pageCount)
  for (let index = 0; index < table.size; index++) {
    fingerprints[numberOf(table.valueAt(index))] = fingerprintOf(table.lowAt(index))
    if (index % TURN_ENTRIES === TURN_ENTRIES - 1) await nextTurn()
  }
  return fingerprints
}
