import { strict as assert } from 'node:assert'

import fc from 'fast-check'

import { PageCollector } from '../../../src/census/collector.ts'
import { countShare, cutoffsFor, isKept, KINDS, noShareCounts, type Kind } from '../../../src/census/cutoffs.ts'
import { createCensus, type Census } from '../../../src/census/index.ts'
import { isVolatile, numberOf, placeOf } from '../../../src/census/place.ts'
import { shed } from '../../../src/census/shedding.ts'
import { PrefixRun, type SortedTable } from '../../../src/page/index.ts'
import { silentLog, type Log } from '../../../src/runtime/log.ts'
import { madeScopes } from '../../support/madescopes.ts'
import { sortedTable } from '../../support/sortedtables.ts'
import { SteppedClock } from '../../support/steppedclock.ts'
import { numbers, pageKey, prefixOf } from './ids.ts'
import { MadeGuest, type Content } from './madememory.ts'

describe('a census that is full', () => {
  let clock: SteppedClock
  let census: Census
  let warnings: Record<string, unknown>[]

  async function begin(entriesMax: number, pagesOfAll = 0): Promise<void> {
    clock = new SteppedClock()
    warnings = []
    const log: Log = { ...silentLog, warn: (_message, fields) => warnings.push(fields ?? {}) }
    census = createCensus({ clock, log, scopes: madeScopes(pageKey) }, {
      pagesPerSecond: 1_000_000, intervalMs: 10_000,
      bytesMax: Math.ceil(entriesMax * 13 + 64) + pagesOfAll * 2,
    })
    await census.start()
  }

  afterEach(() => census.stop())

  function held(contents: readonly number[]): number {
    return contents.filter((content) => census.has(...prefixOf(content), 64)).length
  }

  async function scannedTimes(times: number): Promise<void> {
    await clock.until(() => census.settled && census.all().every(({ scans }) => scans >= times))
  }

  it('keeps within its memory, says what it left out, and warns once', async () => {
    await begin(3_000, 5_000)
    census.add(new MadeGuest('a', [numbers(5_000)]))
    await scannedTimes(3)
    const { distinctPages, omittedPages } = census.of('a')!
    assert.equal(distinctPages + omittedPages, 5_000)
    assert.ok(distinctPages > 2_000 && distinctPages <= 3_000, `${distinctPages} pages are kept`)
    assert.ok(census.totals.bytes <= 3_000 * 13 + 64 + 5_000 * 2, `${census.totals.bytes} bytes`)
    assert.equal(census.totals.omittedPages, omittedPages)
    assert.equal(warnings.length, 1)
    assert.ok(Number(warnings[0]!['omittedPages']) > 0)
  })

  it('keeps what guests share, then what stays, by its id, and volatile pages last', async () => {
    const shared = numbers(1_000)
    const [ownA, ownB] = [numbers(2_000, 10_000), numbers(2_000, 20_000)]
    const [volatileA, volatileB] = [numbers(500, 30_000), numbers(500, 40_000)]
    await begin(5_500, 7_000)
    const guests = [
      new MadeGuest('a', [[...shared, ...ownA, ...volatileA]]),
      new MadeGuest('b', [[...shared, ...ownB, ...volatileB]]),
    ]
    for (const guest of guests) census.add(guest)
    await scannedTimes(1)
    let last = 50_000
    for (let times = 2; times <= 4; times++) {
      for (const guest of guests) guest.contents[0]!.splice(3_000, 500, ...numbers(500, last += 500))
      await scannedTimes(times)
    }
    assert.equal(held(shared), 1_000)
    assert.equal(held(numbers(3_000, 50_000)), 0)
    const kept = held(ownA) + held(ownB)
    assert.ok(kept > 3_000 && kept < 3_500, `${kept} single pages are kept`)
    // Those with the lowest ids, of both guests alike.
    const lows = [...ownA, ...ownB].map((content) => ({ content, share: prefixOf(content)[1] >>> 24 }))
    const keptShares = lows.filter(({ content }) => held([content]) === 1).map(({ share }) => share)
    const leftShares = lows.filter(({ content }) => held([content]) === 0).map(({ share }) => share)
    assert.ok(Math.max(...keptShares) < Math.min(...leftShares))
    const run = new PrefixRun()
    census.stablePages(0, 0xffff_ffff, run)
    assert.equal(run.count, 1_000 + kept)
    assert.equal(run.guests.subarray(0, run.count).filter((count) => count === 2).length, 1_000)
    assert.ok(census.totals.omittedPages > 0)
  })

  it('has room again for what is left when a guest goes', async () => {
    await begin(3_000, 5_000)
    census.add(new MadeGuest('a', [numbers(2_500)]))
    census.add(new MadeGuest('b', [numbers(2_500, 2_500)]))
    await scannedTimes(2)
    assert.ok(census.totals.omittedPages > 1_900)
    census.remove('a')
    const { scans } = census.of('b')!
    await scannedTimes(scans + 1)
    assert.equal(census.of('b')!.distinctPages, 2_500)
    assert.equal(census.totals.omittedPages, 0)
  })

  it('never takes more than it may, however guests come, go and change', async () => {
    const move = fc.record({
      guest: fc.nat(4), from: fc.nat(3_000), count: fc.integer({ min: 1, max: 1_500 }), leaves: fc.boolean(),
    })
    const moves = fc.array(move, { minLength: 1, maxLength: 8 })
    await fc.assert(fc.asyncProperty(fc.nat(60_000), moves, async (room, all) => {
      await begin(0, room / 2)
      let over = 0
      const look = (): void => { over = Math.max(over, census.totals.bytes - room - 64) }
      const timer = clock.every(50, look)
      for (const { guest, from, count, leaves } of all) {
        const content = [numbers(count, from), new Array<Content>(500).fill('absent')]
        if (leaves) census.remove(`guest-${guest}`)
        else census.add(new MadeGuest(`guest-${guest}`, content))
        await scannedTimes(1 + (from % 2))
        look()
        for (const own of census.all()) assert.equal(own.distinctPages + own.omittedPages, own.residentPages)
      }
      timer.cancel()
      await census.stop()
      assert.ok(over <= 0, `${over} bytes too many of ${room + 64}`)
    }), { numRuns: 15 })
  }).timeout(60_000)

  it('of no room at all keeps nothing, and says so', async () => {
    await begin(-10)
    census.add(new MadeGuest('a', [numbers(300)]))
    await scannedTimes(2)
    assert.equal(census.of('a')!.distinctPages, 0)
    assert.equal(census.of('a')!.omittedPages, 300)
  })
})

const word = fc.nat(0xffff_ffff)

describe('what a full census leaves out', () => {
  const counted = fc.array(fc.tuple(fc.constantFrom<Kind>(...Object.values(KINDS)), word), { maxLength: 400 })

  it('never leaves too much, and never a kind before the one that matters less', () => {
    fc.assert(fc.property(counted, fc.nat(450), (entries, entriesMax) => {
      const counts = noShareCounts()
      for (const [kind, low] of entries) countShare(counts, kind, low)
      const cutoffs = cutoffsFor(counts, entriesMax)
      const kept = entries.filter(([kind, low]) => isKept(cutoffs, kind, low))
      assert.ok(kept.length <= entriesMax)
      if (entries.length <= entriesMax) assert.equal(kept.length, entries.length)
      const worst = Math.max(-1, ...kept.map(([kind]) => kind))
      const left = entries.filter(([kind, low]) => !isKept(cutoffs, kind, low))
      for (const [kind] of left) assert.ok(kind >= worst, 'a kind goes only when all lesser ones have gone')
    }))
  })

  it('is left out of the guests\' tables, and all else stays as it was', async () => {
    const table = fc.array(fc.tuple(fc.nat(300), fc.boolean(), fc.nat(1_000)), { maxLength: 200 })
    await fc.assert(fc.asyncProperty(fc.array(table, { maxLength: 4 }), fc.nat(400), async (lists, entriesMax) => {
      const tables = lists.map((list) => sortedTable(list.map(([content, isNew, number]) =>
        [...prefixOf(content), placeOf(number, isNew)] as const)))
      const sizes = tables.map(({ size }) => size)
      const after = await shed(tables, entriesMax)
      assert.ok(after.reduce((sum, { table: { size } }) => sum + size, 0) <= entriesMax)
      for (const [position, { table: left, omittedPages }] of after.entries()) {
        assert.equal(left.size + omittedPages, sizes[position])
        left.forEach((high, low, place) => assert.equal(tables[position]!.get(high, low), place))
      }
    }), { numRuns: 60 })
  })

  it('leaves a scan within its room, whatever it meets, and without need it is nothing', () => {
    const noted = fc.array(fc.tuple(fc.nat(400), fc.boolean()), { maxLength: 600 })
    fc.assert(fc.property(noted, fc.nat(500), fc.boolean(), (pages, entriesMax, hasPrevious) => {
      const previous = hasPrevious ? Uint16Array.from(pages, ([content, isSame]) =>
        (isSame ? (prefixOf(content)[1] & 0xffff) || 1 : 0)) : undefined
      const collector = new PageCollector(pages.length, entriesMax, previous)
      for (const [number, [content]] of pages.entries()) collector.note(...prefixOf(content), number)
      const table: SortedTable = collector.finish()
      const distinct = new Set(pages.map(([content]) => content)).size
      assert.ok(table.size <= Math.min(entriesMax, distinct))
      if (pages.length <= entriesMax) {
        assert.equal(collector.omittedPages, 0)
        assert.equal(table.size, distinct)
      }
      if (table.size < distinct) assert.ok(collector.omittedPages >= distinct - table.size)
      table.forEach((high, low, place) => {
        const [content, isSame] = pages[numberOf(place)]!
        assert.deepEqual([high, low], prefixOf(content))
        assert.equal(isVolatile(place), hasPrevious && !isSame)
      })
    }), { numRuns: 200 })
  })
})
