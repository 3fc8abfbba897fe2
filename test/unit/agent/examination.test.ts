import assert from 'node:assert/strict'

import { knownPages } from '../../../src/agent/examination.ts'
import { PageColumns, SortedTable } from '../../../src/page/index.ts'

describe('what is known of a guest\'s pages', () => {
  it('is counted by host, without this one, and by a sample of many', () => {
    const columns = new PageColumns(120_000)
    for (let page = 0; page < 120_000; page++) columns.push(page * 30_000, 0, page)
    const view = {
      hostsOf: (high: number) => (high / 30_000 % 2 === 0 ? 2 : 0), holdersOf: () => ['self', 'b'],
    }
    const table = SortedTable.from(columns)
    assert.deepEqual(knownPages(undefined, view, 'self'), { lookedAt: 0, popular: 0, byHost: {} })
    const known = knownPages({ table }, view, 'self')
    assert.equal(known.lookedAt, 40_000)
    assert.deepEqual(known, { lookedAt: 40_000, popular: 20_000, byHost: { b: 20_000 } })
  })
})
