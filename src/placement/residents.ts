import type { GuestCensus } from '../census/index.ts'
import { TableMerge } from '../page/index.ts'

/** Cost of looking up a page in a table, in entries walked. */
const LOOKUP_ENTRIES = 2

/**
 * Whether a page is stably resident here: call it in rising order of prefixes, about `pages` times. All pages of a
 * guest that was scanned only once count as stable, so that the pages of an arrived guest are not fetched again.
 */
export function stableResidents(guests: readonly GuestCensus[], pages: number): (high: number, low: number) => boolean {
  const entries = guests.reduce((sum, { table }) => sum + table.size, 0)
  return pages * guests.length * LOOKUP_ENTRIES < entries ? byLookup(guests) : byMerge(guests)
}

function byLookup(guests: readonly GuestCensus[]): (high: number, low: number) => boolean {
  return (high, low) => {
    for (const guest of guests) {
      const index = guest.table.indexOf(high, low)
      if (index >= 0 && guest.isStable(index)) return true
    }
    return false
  }
}

function byMerge(guests: readonly GuestCensus[]): (high: number, low: number) => boolean {
  const merge = new TableMerge(guests.map(({ table }) => table))
  let isThere = merge.next()
  return (high, low) => {
    while (isThere && (merge.high < high || (merge.high === high && merge.low < low))) isThere = merge.next()
    if (!isThere || merge.high !== high || merge.low !== low) return false
    for (let holder = 0; holder < merge.holders; holder++) {
      if (guests[merge.tableOf[holder]!]!.isStable(merge.indexOf[holder]!)) return true
    }
    return false
  }
}
