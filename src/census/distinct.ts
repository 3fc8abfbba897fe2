import type { PrefixTable } from '../page/index.ts'

/** Entries that are looked up for certain; of more, a sample stands for the whole, so that a status costs little. */
const LOOKUPS_MAX = 2 ** 18

/**
 * How many different pages the tables hold together. Exact up to LOOKUPS_MAX entries; beyond, estimated
 * from those whose prefix ends in zero bits: prefixes are random, so they are a fair sample.
 */
export function countDistinct(tables: readonly PrefixTable[]): number {
  if (tables.length === 1) return tables[0]!.size
  const entries = tables.reduce((sum, table) => sum + table.size, 0)
  const skippedBits = Math.max(0, Math.ceil(Math.log2(Math.max(1, entries) / LOOKUPS_MAX)))
  const mask = 2 ** skippedBits - 1
  let count = 0
  for (const [index, table] of tables.entries()) {
    const before = tables.slice(0, index)
    table.forEach((high, low) => {
      if ((low & mask) === 0 && !before.some((other) => other.get(high, low) >= 0)) count += 1
    })
  }
  return count * 2 ** skippedBits
}
