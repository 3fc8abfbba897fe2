import { strict as assert } from 'node:assert'

import fc from 'fast-check'

import { createCensus, type Census, type CensusInit } from '../../../src/census/index.ts'
import { PagemeshError } from '../../../src/runtime/errors.ts'
import { silentLog, type Log } from '../../../src/runtime/log.ts'
import { madeScopes } from '../../support/madescopes.ts'
import { SteppedClock } from '../../support/steppedclock.ts'
import { numbers, pageKey, prefixOf } from './ids.ts'
import { MadeGuest, type Content } from './madememory.ts'

/** Pages enough for many reads. */
const MANY = 5_000

describe('a census of guests that change while they are scanned', () => {
  let clock: SteppedClock
  let census: Census
  let warnings: string[]

  async function begin(init: Partial<CensusInit> = {}): Promise<void> {
    clock = new SteppedClock()
    warnings = []
    const log: Log = { ...silentLog, warn: (message) => warnings.push(message) }
    census = createCensus({ clock, log, scopes: madeScopes(pageKey) }, {
      pagesPerSecond: 10_000, intervalMs: 10_000, bytesMax: 2 ** 24, ...init,
    })
    await census.start()
  }

  beforeEach(() => begin())
  afterEach(() => census.stop())

  /** Does `change` once, in the middle of the guest's first scan. */
  function inTheMiddleOf(guest: MadeGuest, change: () => void): void {
    guest.onRead = () => {
      if (guest.reads.length !== 5) return
      guest.onRead = () => {}
      change()
    }
  }

  function has(content: number): boolean {
    return census.has(...prefixOf(content), 64)
  }

  it('takes up one that appears', async () => {
    const first = new MadeGuest('a', [numbers(MANY)])
    inTheMiddleOf(first, () => census.add(new MadeGuest('b', [[MANY + 1]])))
    census.add(first)
    await clock.until(() => census.all().length === 2)
    assert.ok(census.settled && has(MANY - 1) && has(MANY + 1))
    assert.deepEqual(warnings, [])
  })

  it('knows what it knew of one that vanishes, until it is taken away', async () => {
    const guest = new MadeGuest('a', [numbers(MANY)])
    census.add(guest)
    await clock.until(() => census.settled)
    guest.reads.length = 0
    inTheMiddleOf(guest, () => { guest.gone = true })
    await clock.until(() => guest.gone)
    await clock.until(() => clock.now() > 30_000)
    assert.equal(census.of('a')!.scans, 1)
    assert.ok(has(1))
    census.remove('a')
    assert.equal(has(1), false)
    assert.deepEqual(warnings, [])
  })

  it('goes on with one that is paused', async () => {
    const guest = new MadeGuest('a', [numbers(MANY)])
    inTheMiddleOf(guest, () => { guest.current = 'paused' })
    census.add(guest)
    await clock.until(() => census.settled)
    assert.equal(census.of('a')!.distinctPages, MANY)
    await clock.until(() => census.of('a')!.scans === 2)
  })

  it('believes nothing that it read of one that begins to wait for a migration', async () => {
    const guest = new MadeGuest('a', [numbers(MANY)])
    inTheMiddleOf(guest, () => { guest.current = 'inmigrate' })
    census.add(guest)
    await clock.until(() => census.settled)
    assert.equal(census.of('a'), undefined)
    const { length } = guest.reads
    await clock.until(() => clock.now() > 20_000)
    assert.equal(guest.reads.length, length, 'it is left alone')
    guest.current = 'running'
    await clock.until(() => census.of('a') !== undefined)
    assert.equal(census.of('a')!.distinctPages, MANY)
  })

  it('drops one that has moved away, and takes it up when it is back', async () => {
    const guest = new MadeGuest('a', [numbers(MANY)])
    inTheMiddleOf(guest, () => {
      guest.current = 'postmigrate'
      census.remove('a')
    })
    census.add(guest)
    await clock.until(() => census.settled)
    assert.equal(census.of('a'), undefined)
    guest.current = 'running'
    census.add(guest)
    await clock.until(() => census.settled)
    assert.equal(census.of('a')!.distinctPages, MANY)
  })

  it('misses only what a balloon took and brought behind its back', async () => {
    const guest = new MadeGuest('a', [[...numbers(MANY), 'absent', 'absent']])
    const contents = guest.contents[0]!
    inTheMiddleOf(guest, () => {
      contents.fill('absent', 100, MANY - 100)
      contents[MANY] = 7_000
      contents[MANY + 1] = 'zero'
    })
    census.add(guest)
    await clock.until(() => census.settled)
    assert.ok(has(0) && has(MANY - 1) && !has(MANY - 200))
    await clock.until(() => census.of('a')!.scans === 2)
    assert.ok(has(7_000) && !has(150))
    assert.deepEqual(
      { residentPages: census.of('a')!.residentPages, zeroPages: census.of('a')!.zeroPages },
      { residentPages: 202, zeroPages: 1 },
    )
  })

  it('leaves out what can no longer be read where it was', async () => {
    const guest = new MadeGuest('a', [numbers(MANY), numbers(100, MANY)])
    const read = guest.read.bind(guest)
    guest.read = async (block, firstPage, ...rest) => {
      if (block === 0 && firstPage >= 1_000 && firstPage < 2_000) {
        throw new PagemeshError('guest-memory-moved', 'It is no longer there.', { fault: 'guest' })
      }
      await read(block, firstPage, ...rest)
    }
    census.add(guest)
    await clock.until(() => census.settled)
    const { residentPages, distinctPages } = census.of('a')!
    assert.equal(residentPages, distinctPages)
    assert.ok(distinctPages <= MANY - 900 && distinctPages >= MANY - 1_256)
    assert.ok(has(0) && !has(1_500) && has(MANY + 99))
    assert.deepEqual(warnings, [])
  })

  it('never reads a page that is not resident', async () => {
    const content = fc.oneof(fc.nat(500), fc.constant<Content>('absent'), fc.constant<Content>('zero'))
    const block = fc.array(fc.tuple(content, fc.integer({ min: 1, max: 300 })), { maxLength: 12 })
      .map((runs) => runs.flatMap(([each, count]) => new Array<Content>(count).fill(each)))
    const change = fc.record({ from: fc.nat(2_000), count: fc.nat(600), content })
    await fc.assert(fc.asyncProperty(
      fc.array(block, { minLength: 1, maxLength: 3 }), fc.array(change, { maxLength: 30 }),
      async (blocks, changes) => {
        await begin({ pagesPerSecond: 1_000 })
        const guest = new MadeGuest('a', blocks)
        // Each time the scan looks up from its work the guest changes: between a window's question and its reads.
        const timer = clock.every(1, () => {
          const next = changes.pop()
          if (next === undefined) return
          for (const each of guest.contents) each.fill(next.content, next.from, next.from + next.count)
        })
        let failure: unknown
        const read = guest.read.bind(guest)
        guest.read = async (...place) => {
          await read(...place).catch((error: unknown) => {
            failure = error
            throw error
          })
        }
        census.add(guest)
        await clock.until(() => census.settled || failure !== undefined)
        timer.cancel()
        assert.equal(failure, undefined)
        await census.stop()
      },
    ), { numRuns: 25 })
  }).timeout(60_000)
})
