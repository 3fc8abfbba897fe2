import assert from 'node:assert/strict'

import { listPopular } from '../../../src/agent/popularpages.ts'
import { PopularRun } from '../../../src/popularity/popularrun.ts'
import { restOf, sliceOf } from '../../../src/popularity/slice.ts'
import { View } from '../../../src/popularity/view/view.ts'

describe('the list of popular pages', () => {
  const view = new View({ maxPages: 100, nameOfTag: (tag) => (tag === 9 ? undefined : `host-${tag}`) })
  const run = new PopularRun()

  function addPage(high: number, low: number, guests: number, hosts: number, holders: number[]): void {
    run.clear()
    run.push(restOf(high, low), guests, hosts)
    run.holders.set(holders)
    view.applyChanges(sliceOf(high), run)
  }

  before(() => {
    addPage(0x0000_000a, 0xffff_ffff, 7, 2, [1, 9])
    addPage(0xffff_ffff, 0x0000_0001, 3, 5, [3, 2, 1])
  })

  it('has prefixes in hex, the best first, and says what is held here', () => {
    const asked: unknown[] = []
    const has = (...prefix: [number, number, number]): boolean => {
      asked.push(prefix)
      return prefix[1] === 1
    }
    assert.deepEqual(listPopular(view, { has }, 10), [
      { prefix: 'ffffffff00000001', guests: 3, hosts: 5, held: true, holders: ['host-3', 'host-2', 'host-1'] },
      { prefix: '0000000affffffff', guests: 7, hosts: 2, held: false, holders: ['host-1'] },
    ])
    assert.deepEqual(asked, [[0xffff_ffff, 1, 64], [0xa, 0xffff_ffff, 64]])
  })

  it('has no more than were asked for', () => {
    assert.equal(listPopular(view, { has: () => true }, 1).length, 1)
  })
})
