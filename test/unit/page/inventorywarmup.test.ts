import assert from 'node:assert/strict'

import { warmUpInventory } from '../../../src/page/index.ts'
import { SortedTable } from '../../../src/page/sortedtable.ts'
import { systemRandom } from '../../../src/runtime/random.ts'

describe('warming up the census exchange', () => {
  it('looks every page up that one made-up guest holds, three times', async () => {
    let lookedUp = 0
    const { getByBits } = SortedTable.prototype
    SortedTable.prototype.getByBits = function (this: SortedTable, ...prefix) {
      lookedUp += 1
      return getByBits.apply(this, prefix)
    }
    try {
      await warmUpInventory({ random: systemRandom })
    } finally {
      SortedTable.prototype.getByBits = getByBits
    }
    // Of pages that share their first bits only one is looked up.
    assert.ok(lookedUp > 59_900 && lookedUp <= 60_000, `${lookedUp}`)
  })
})
