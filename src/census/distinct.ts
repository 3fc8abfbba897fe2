import { TableMerge, type SortedTable } from '../page/index.ts'

/** Entries that are walked for certain; of more, a sample stands for the whole, so that a status costs little. */
const ENTRIES_MAX = 2 ** 18

/**
 * How many different pages the tables hold together. Exact up to ENTRIES_MAX entries; beyond, estimated from those
 * with the lowest prefixes: prefixes are random, so they are a fair sample.
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
