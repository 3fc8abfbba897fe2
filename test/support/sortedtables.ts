import { PageColumns, SortedTable } from '../../src/page/index.ts'

/** A table of these prefixes and values. */
export function sortedTable(entries: readonly (readonly [high: number, low: number, value: number])[]): SortedTable {
  const columns = new PageColumns(entries.length)
  for (const [high, low, value] of entries) columns.push(high, low, value)
  return SortedTable.from(columns)
}
