import { strict as assert } from 'node:assert'

import { createCensus, type Census, type CensusInit } from '../../../src/census/index.ts'
import { PAGE_BYTES, PageBatch, verified } from '../../../src/page/index.ts'
import { silentLog } from '../../../src/runtime/log.ts'
import { madeScopes } from '../../support/madescopes.ts'
import { SteppedClock } from '../../support/steppedclock.ts'
import { hasher, idOf, numbers, pageKey, prefixOf } from './ids.ts'
import { MadeGuest, pageOf, type Content } from './madememory.ts'

const signal = new AbortController().signal

describe('census', () => {
  let clock: SteppedClock
  let census: Census

  afterEach(() => census.stop())

  async function begin(init: Partial<CensusInit> = {}): Promise<void> {
    clock = new SteppedClock()
    census = createCensus({ clock, log: silentLog, scopes: madeScopes(pageKey) }, {
      pagesPerSecond: 1_000_000, intervalMs: 60_000, bytesMax: 2 ** 24, ...init,
    })
    await census.start()
  }

  /** Begins with a guest that waits for a migration, which is left alone. */
  async function beginWaiting(): Promise<MadeGuest> {
    await begin()
    const guest = new MadeGuest('a', [[1]])
    guest.current = 'inmigrate'
    census.add(guest)
    await clock.until(() => census.settled)
    return guest
  }

  it('counts resident, zero and distinct pages, and places each by its number over all blocks', async () => {
    await begin()
    census.add(new MadeGuest('a', [[1, 2, 'absent', 'zero', 1], ['zero', 3, 2, 'absent']]))
    assert.equal(census.settled, false)
    await clock.until(() => census.settled)
    const { table, ...counts } = pick(census)
    assert.deepEqual(counts, { residentPages: 7, zeroPages: 2, distinctPages: 3, omittedPages: 0, scans: 1 })
    assert.equal(table.get(...prefixOf(1)), 0)
    assert.equal(table.get(...prefixOf(2)), 1)
    assert.equal(table.get(...prefixOf(3)), 6)
    assert.equal(census.has(...prefixOf(3), 64), true)
    assert.equal(census.has(prefixOf(3)[0], 0, 32), true)
    assert.equal(census.has(...prefixOf('zero'), 64), false)
    assert.equal(census.has(...prefixOf(4), 64), false)
  })

  it('counts a page of two guests once', async () => {
    await begin()
    census.add(new MadeGuest('a', [[1, 2, 3]]))
    census.add(new MadeGuest('b', [[3, 4]]))
    await clock.until(() => census.settled)
    assert.equal(census.totals.distinctPages, 4)
    assert.equal(census.totals.scans, 2)
    assert.ok(census.totals.bytes > 0)
    census.remove('a')
    assert.equal(census.totals.distinctPages, 2)
    assert.equal(census.has(...prefixOf(1), 64), false)
  })

  it('scans again at the interval, and tells what stayed in its place from what did not', async () => {
    await begin({ intervalMs: 5_000 })
    const guest = new MadeGuest('a', [[1, 2, 3, 3, 5]])
    census.add(guest)
    await clock.until(() => census.settled)
    const stableOnes = (): number[] => {
      const own = census.of('a')!
      return [1, 2, 3, 4, 5, 9].filter((content) => {
        const index = own.table.indexOf(...prefixOf(content))
        return index !== -1 && own.isStable(index)
      })
    }
    assert.equal(census.of('a')!.isCompared, false)
    assert.deepEqual(stableOnes(), [1, 2, 3, 5])
    // Of two copies one is the page's place: it went, and the other one must stay for as long again.
    guest.contents[0]!.splice(0, 3, 9, 2, 4)
    await clock.until(() => census.of('a')!.scans === 2)
    assert.ok(clock.now() >= 5_000 && clock.now() < 6_000, `${clock.now()} ms`)
    assert.equal(census.of('a')!.isCompared, true)
    assert.deepEqual(stableOnes(), [2, 5])
    guest.contents[0]!.splice(0, 1, 3)
    await clock.until(() => census.of('a')!.scans === 3)
    assert.deepEqual(stableOnes(), [2, 3, 4, 5])
    // The copy that stayed is its place, though another one comes first.
    const own = census.of('a')!
    assert.equal(own.numberAt(own.table.indexOf(...prefixOf(3))), 3)
  })

  it('keeps to its rate', async () => {
    await begin({ pagesPerSecond: 1_000 })
    census.add(new MadeGuest('a', [numbers(4_000)]))
    await clock.until(() => census.settled)
    assert.ok(clock.now() > 3_500 && clock.now() < 4_500, `4000 pages in ${clock.now()} ms`)
  })

  it('costs absent pages nothing of the rate', async () => {
    await begin({ pagesPerSecond: 1_000 })
    census.add(new MadeGuest('a', [new Array<Content>(100_000).fill('absent'), [1]]))
    await clock.until(() => census.settled)
    assert.ok(clock.now() < 100, `${clock.now()} ms`)
  })

  it('leaves a guest alone that waits for a migration, and lets it run a while once it has arrived', async () => {
    const guest = await beginWaiting()
    assert.equal(census.of('a'), undefined)
    assert.deepEqual(guest.reads, [])
    guest.current = 'running'
    const arrivedAt = clock.now()
    await clock.until(() => !census.settled)
    await clock.until(() => census.settled)
    assert.notEqual(census.of('a'), undefined)
    const restMs = clock.now() - arrivedAt
    assert.ok(restMs >= 10_000 && restMs <= 13_000, `${restMs} ms`)
    await clock.until(() => census.of('a')!.scans === 2)
    assert.ok(clock.now() - arrivedAt - restMs <= 61_000, 'it rests once')
  })

  it('owes a guest its first scan from the moment it is said to have arrived', async () => {
    const guest = await beginWaiting()
    guest.current = 'running'
    census.arrived('a')
    assert.equal(census.settled, false)
    const arrivedAt = clock.now()
    await clock.until(() => census.settled)
    assert.notEqual(census.of('a'), undefined)
    assert.ok(clock.now() - arrivedAt >= 10_000, 'it runs a while before')
    census.arrived('b')
  })

  it('abandons the scan of a guest that leaves, and goes on with the next', async () => {
    await begin()
    const leaving = new MadeGuest('a', [numbers(100_000)])
    leaving.onRead = () => {
      if (leaving.reads.length === 3) census.remove('a')
    }
    census.add(leaving)
    census.add(new MadeGuest('b', [[1]]))
    await clock.until(() => census.of('b') !== undefined)
    assert.equal(census.of('a'), undefined)
    assert.ok(leaving.reads.length < 10)
  })

  it('takes a guest that vanishes for no error, and scans it when it is back', async () => {
    await begin()
    const guest = new MadeGuest('a', [[1]])
    guest.gone = true
    census.add(guest)
    census.add(new MadeGuest('b', [[2]]))
    await clock.until(() => census.of('b') !== undefined)
    assert.equal(census.settled, false)
    guest.gone = false
    await clock.until(() => census.settled)
    assert.equal(census.of('a')!.distinctPages, 1)
  })

  it('estimates the sum of many from a sample', async () => {
    await begin()
    census.add(new MadeGuest('a', [numbers(200_000)]))
    census.add(new MadeGuest('b', [numbers(200_000)]))
    await clock.until(() => census.settled)
    const { distinctPages } = census.totals
    assert.ok(Math.abs(distinctPages - 200_000) < 4_000, `${distinctPages}`)
  }).timeout(20_000)

  describe('as a source of pages', () => {
    it('fills what is resident, reading neighbours together and holes not at all', async () => {
      await begin()
      const guest = new MadeGuest('a', [[1, 2, 3, 'absent', 4, ...numbers(100, 50)], [201, 202]])
      census.add(guest)
      await clock.until(() => census.settled)
      guest.reads.length = 0
      const wanted = [202, 4, 777, 1, 3]
      const batch = batchOf(wanted)
      await census.resident.fill(batch, signal)
      assert.deepEqual(batch.missing(), [2])
      for (const index of [0, 1, 3, 4]) {
        assert.equal(batch.filledBy(index), 'resident')
        assert.ok(pageAt(batch, index).equals(pageOf(wanted[index]!)))
      }
      assert.deepEqual(guest.reads, [[0, 3], [4, 1], [1, 1]])
    })

    it('is believed only after a look: a page that changed since the scan is a miss', async () => {
      await begin()
      const guest = new MadeGuest('a', [[1, 2, 3]])
      census.add(guest)
      await clock.until(() => census.settled)
      guest.contents[0]!.splice(0, 2, 9, 'absent')
      const batch = batchOf([1, 2, 3])
      await verified(census.resident, hasher).fill(batch, signal)
      assert.deepEqual(batch.missing(), [0, 1])
    })

    it('takes a page rather from a guest in which it stayed', async () => {
      await begin({ intervalMs: 1_000 })
      const restless = new MadeGuest('a', [[1, 7]])
      const quiet = new MadeGuest('b', [[7]])
      census.add(restless)
      census.add(quiet)
      await clock.until(() => census.settled)
      restless.contents[0]!.splice(0, 2, 7, 8)
      await clock.until(() => census.all().every((own) => own.scans === 2))
      restless.reads.length = quiet.reads.length = 0
      const batch = batchOf([7])
      await census.resident.fill(batch, signal)
      assert.equal(batch.isFilled(0), true)
      assert.deepEqual([restless.reads, quiet.reads], [[], [[0, 1]]])
    })

    it('takes a guest that vanishes under the read for a miss', async () => {
      await begin()
      const guest = new MadeGuest('a', [[1]])
      census.add(guest)
      census.add(new MadeGuest('b', [[2]]))
      await clock.until(() => census.settled)
      guest.onRead = () => { guest.gone = true }
      const batch = batchOf([1, 2])
      await census.resident.fill(batch, signal)
      assert.deepEqual(batch.missing(), [0])
    })

    it('stops when told to', async () => {
      await begin()
      census.add(new MadeGuest('a', [[1]]))
      await clock.until(() => census.settled)
      await assert.rejects(census.resident.fill(batchOf([1]), AbortSignal.abort(new Error('enough'))), /enough/)
    })
  })
})

function pick(census: Census) {
  const { residentPages, zeroPages, distinctPages, omittedPages, scans, table } = census.of('a')!
  return { residentPages, zeroPages, distinctPages, omittedPages, scans, table }
}

function batchOf(contents: readonly number[]): PageBatch {
  return new PageBatch(Buffer.concat(contents.map(idOf)))
}

function pageAt(batch: PageBatch, index: number): Buffer {
  return batch.bytes.subarray(index * PAGE_BYTES, (index + 1) * PAGE_BYTES)
}
