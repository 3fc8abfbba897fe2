import { setBit } from '../bytes/bits.ts'
import { TableMerge, type SortedTable } from '../page/index.ts'
import { nextTurn } from '../runtime/turn.ts'
import { countShare, cutoffsFor, isKept, KINDS, noShareCounts, type Kind } from './cutoffs.ts'
import { isVolatile } from './place.ts'

/** Pages processed before the thread yields: a few ms. */
const TURN_PAGES = 2 ** 15

/** A guest's shortened table, and the number of pages removed from it. */
export interface Shed {
  table: SortedTable
  omittedPages: number
}

/**
 * Returns copies of the tables without some pages, so that all together have at most `entriesMax` entries; cutoffs.ts
 * says which pages go. A table that loses nothing is returned itself.
 */
export async function shed(tables: readonly SortedTable[], entriesMax: number): Promise<Shed[]> {
  const counts = noShareCounts()
  await forEachEntry(tables, (_table, _index, kind, low) => countShare(counts, kind, low))
  const cutoffs = cutoffsFor(counts, entriesMax)
  const kept = tables.map((table) => ({ bits: new Uint8Array(Math.ceil(table.size / 8)), count: 0 }))
  await forEachEntry(tables, (table, index, kind, low) => {
    if (!isKept(cutoffs, kind, low)) return
    const own = kept[table]!
    setBit(own.bits, index)
    own.count += 1
  })
  const remaining: Shed[] = []
  for (const [position, table] of tables.entries()) {
    const { bits, count } = kept[position]!
    const omittedPages = table.size - count
    remaining.push({ table: omittedPages === 0 ? table : table.subset(bits, count), omittedPages })
    await nextTurn()
  }
  return remaining
}

async function forEachEntry(
  tables: readonly SortedTable[], visit: (table: number, index: number, kind: Kind, low: number) => void,
): Promise<void> {
  const merge = new TableMerge(tables)
  for (let pages = 1; merge.next(); pages++) {
    for (let holder = 0; holder < merge.holders; holder++) {
      const table = merge.tableOf[holder]!
      const index = merge.indexOf[holder]!
      visit(table, index, kindOf(tables[table]!.valueAt(index), merge.holders), merge.low)
    }
    if (pages % TURN_PAGES === 0) await nextTurn()
  }
}

function kindOf(place: number, holders: number): Kind {
  if (isVolatile(place)) return KINDS.volatile
  return holders > 1 ? KINDS.shared : KINDS.single
}
