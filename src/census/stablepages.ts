import { TableMerge, type PrefixRun, type SortedTable } from '../page/index.ts'

/** A guest's pages, as reports count them. */
export interface CountedGuest {
  readonly table: SortedTable
  /** Whether the last scan could be compared with an earlier one; otherwise stability is unknown. */
  readonly isCompared: boolean
  /** Whether the page at `index` of the table was at the same location in the scan before. */
  isStable(index: number): boolean
}

/**
 * Adds to `into`, in rising order, the stable pages whose prefix has a high half from `firstHigh` to `lastHigh`, with
 * the number of guests that hold each. A guest that was scanned only once makes no page stable, but counts as a holder
 * of stable pages.
 */
export function addStablePages(
  guests: readonly CountedGuest[], firstHigh: number, lastHigh: number, into: PrefixRun,
): void {
  if (!guests.some((guest) => guest.isCompared)) return
  const merge = new TableMerge(guests.map((guest) => guest.table), firstHigh, lastHigh)
  while (merge.next()) {
    let stable = 0
    let unknown = 0
    for (let holder = 0; holder < merge.holders; holder++) {
      const guest = guests[merge.tableOf[holder]!]!
      if (!guest.isCompared) unknown += 1
      else if (guest.isStable(merge.indexOf[holder]!)) stable += 1
    }
    if (stable > 0) into.push(merge.high, merge.low, Math.min(GUESTS_MAX, stable + unknown))
  }
}

/** Largest count that a run of pages can express. */
const GUESTS_MAX = 0xffff
