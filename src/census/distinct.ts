import { TableMerge, type SortedTable } from '../page/index.ts'

/** Up to this many entries are counted exactly; beyond, a sample keeps `status` cheap. */
const ENTRIES_MAX = 2 ** 18

/**
 * The number of distinct pages in all tables. Exact up to ENTRIES_MAX entries; beyond, estimated from the entries with
 * the lowest prefixes: prefixes are random, so this sample is fair.
 */
export function countDistinct(tables: readonly SortedTable[]): number {
  if (tables.length === 1) return tables[0]!.size
  const entries = tables.reduce((sum, table) => sum + table.size, 0)
  const skippedBits = Math.max(0, Math.ceil(Math.log2(Math.max(1, entries) / ENTRIES_MAX)))
  const merge = new TableMerge(tables, 0, 2 ** (32 - skippedBits) - 1)
  let count = 0
  while (merge.next()) count += 1
  return count * 2 ** skippedBits
}
