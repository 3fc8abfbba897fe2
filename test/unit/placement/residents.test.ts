import assert from 'node:assert/strict'

import fc from 'fast-check'

import type { GuestCensus } from '../../../src/census/index.ts'
import { PageColumns, SortedTable } from '../../../src/page/index.ts'
import { rankPages } from '../../../src/placement/ranking.ts'
import { stableResidents } from '../../../src/placement/residents.ts'
import { madeScope } from '../../support/madescopes.ts'
import { highOf, lowOf } from './made.ts'

/** What the census knows of a guest: pages by their numbers, and which of them stay. */
function censusOf(pages: readonly number[], stable: ReadonlySet<number>): GuestCensus {
  const columns = new PageColumns(pages.length)
  for (const page of pages) columns.push(highOf(page), lowOf(page), page)
  const table = SortedTable.from(columns)
  return {
    guest: 'web', scope: madeScope(),
    residentPages: pages.length, zeroPages: 0, distinctPages: table.size, omittedPages: 0, scans: 2,
    scannedAt: 0, table, numberAt: (index) => table.valueAt(index), isCompared: true,
    isStable: (index) => stable.has(table.valueAt(index)),
  }
}

describe('what is stably resident', () => {
  it('is what stays in some guest, however it is found out', () => {
    const page = fc.integer({ min: 0, max: 100 })
    const guests = fc.array(fc.record({ pages: fc.uniqueArray(page), stable: fc.uniqueArray(page) }), { maxLength: 5 })
    fc.assert(fc.property(guests, fc.uniqueArray(page), (made, asked) => {
      const censuses = made.map(({ pages, stable }) => censusOf(pages, new Set(stable)))
      // Few pages are looked up one by one, many are walked past.
      const [looking, walking] = [stableResidents(censuses, 0), stableResidents(censuses, 1e6)]
      for (const number of asked.sort((one, other) => one - other)) {
        const expected = made.some(({ pages, stable }) => pages.includes(number) && stable.includes(number))
        assert.equal(looking(highOf(number), lowOf(number)), expected)
        assert.equal(walking(highOf(number), lowOf(number)), expected)
      }
    }))
  })
})

describe('ranking', () => {
  it('puts the greatest first, and leaves equal ones in order', () => {
    const keys = fc.tuple(fc.integer({ min: 0, max: 9 }), fc.integer({ min: 0, max: 3 }))
    fc.assert(fc.property(fc.array(keys, { maxLength: 200 }), (made) => {
      const pages = Uint32Array.from(made, (_, page) => page)
      const steps = rankPages(pages, {
        firstOf: (page) => made[page]![0], firstMax: 9, secondOf: (page) => made[page]![1], secondMax: 3,
      })
      while (steps.next().done !== true) { /* there is nobody else to have a turn */ }
      const expected = [...made.keys()]
        .sort((one, other) => made[other]![0] - made[one]![0] || made[other]![1] - made[one]![1] || one - other)
      assert.deepEqual([...pages], expected)
    }))
  })
})
