import { strict as assert } from 'node:assert'

import fc from 'fast-check'

import { createCensus, type Census } from '../../../src/census/index.ts'
import { placeOf } from '../../../src/census/place.ts'
import { addStablePages, type CountedGuest } from '../../../src/census/stablepages.ts'
import { PrefixRun } from '../../../src/page/index.ts'
import { silentLog } from '../../../src/runtime/log.ts'
import { madeScopes } from '../../support/madescopes.ts'
import { sortedTable } from '../../support/sortedtables.ts'
import { SteppedClock } from '../../support/steppedclock.ts'
import { pageKey, prefixOf } from './ids.ts'
import { MadeGuest } from './madememory.ts'

type Row = [high: number, low: number, guests: number]

function rowsOf(run: PrefixRun): Row[] {
  return Array.from({ length: run.count }, (_, i) => [run.high[i]!, run.low[i]!, run.guests[i]!])
}

describe('the stable pages of a host', () => {
  it('are those that stayed in some guest, each once, with the guests that count', () => {
    const pages = fc.uniqueArray(fc.tuple(fc.nat(200), fc.boolean()), { selector: ([page]) => page })
    const guest = fc.record({ isCompared: fc.boolean(), pages })
    const word = fc.nat(0xffff_ffff)
    fc.assert(fc.property(fc.array(guest, { maxLength: 6 }), word, word, (guests, a, b) => {
      const counted = guests.map(({ isCompared, pages }): CountedGuest => {
        const table = sortedTable(pages.map(([page, isStable]) =>
          [...prefixOf(page), placeOf(page, !isStable)] as const))
        return { table, isCompared, isStable: (index) => table.valueAt(index) < 2 ** 31 }
      })
      const run = new PrefixRun(1)
      addStablePages(counted, Math.min(a, b), Math.max(a, b), run)
      const expected: Row[] = []
      for (let page = 0; page <= 200; page++) {
        const [high, low] = prefixOf(page)
        if (high < Math.min(a, b) || high > Math.max(a, b)) continue
        const holders = guests.flatMap(({ isCompared, pages }) =>
          pages.filter(([own]) => own === page).map(([, isStable]) => ({ isCompared, isStable })))
        const stable = holders.filter(({ isCompared, isStable }) => isCompared && isStable).length
        const unknown = holders.filter(({ isCompared }) => !isCompared).length
        if (stable > 0) expected.push([high, low, stable + unknown])
      }
      assert.deepEqual(rowsOf(run), expected.sort((left, right) => left[0] - right[0] || left[1] - right[1]))
    }))
  })

  it('are known after a guest\'s second scan, and every scan makes a new generation of them', async () => {
    const clock = new SteppedClock()
    const census: Census = createCensus({ clock, log: silentLog, scopes: madeScopes(pageKey) }, {
      pagesPerSecond: 1e6, intervalMs: 10_000, bytesMax: 2 ** 20,
    })
    const stable = (): Map<string, number> => {
      const run = new PrefixRun()
      // In slices, as they are asked for.
      for (let slice = 0; slice < 16; slice++) census.stablePages(slice * 2 ** 28, (slice + 1) * 2 ** 28 - 1, run)
      return new Map(rowsOf(run).map(([high, low, guests]) => [`${high}.${low}`, guests]))
    }
    const countOf = (content: number): number => stable().get(prefixOf(content).join('.')) ?? 0
    await census.start()
    const first = new MadeGuest('a', [[1, 2, 3, 'zero']])
    census.add(first)
    await clock.until(() => census.settled)
    const { generation } = census
    assert.equal(stable().size, 0)
    first.contents[0]![1] = 9
    await clock.until(() => census.of('a')!.scans === 2)
    assert.notEqual(census.generation, generation)
    assert.deepEqual([1, 2, 3, 9].map(countOf), [1, 0, 1, 0])
    census.add(new MadeGuest('b', [[3, 4]]))
    await clock.until(() => census.settled)
    assert.deepEqual([1, 3, 4].map(countOf), [1, 2, 0])
    await clock.until(() => census.of('b')!.scans === 2)
    assert.deepEqual([1, 3, 4].map(countOf), [1, 2, 1])
    const before = census.generation
    census.remove('a')
    assert.notEqual(census.generation, before)
    assert.deepEqual([1, 3, 4].map(countOf), [0, 1, 1])
    await census.stop()
  })
})
