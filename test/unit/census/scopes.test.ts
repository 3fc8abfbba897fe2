import assert from 'node:assert/strict'

import { createCensus } from '../../../src/census/census.ts'
import type { Census } from '../../../src/census/index.ts'
import { ID_BYTES, PageBatch, PrefixRun, verified, type PageScope, type PageScopes } from '../../../src/page/index.ts'
import { silentLog } from '../../../src/runtime/log.ts'
import { madeEpoch, scopesOf } from '../../support/madescopes.ts'
import { SteppedClock } from '../../support/steppedclock.ts'
import { numbers } from './ids.ts'
import { MadeGuest, pageOf } from './madememory.ts'

const PAGES = numbers(20, 1)

describe('the census of guests of several scopes', () => {
  let clock: SteppedClock
  let scopes: PageScopes
  let census: Census

  beforeEach(async () => {
    clock = new SteppedClock()
    scopes = scopesOf('blue', 'red')
    census = createCensus({ clock, log: silentLog, scopes }, {
      pagesPerSecond: 1e6, intervalMs: 10_000, bytesMax: 2 ** 20,
    })
    await census.start()
    for (const name of ['blue-1', 'blue-2', 'red-1']) census.add(new MadeGuest(name, [PAGES]))
    await clock.until(() => census.settled)
  })

  afterEach(() => census.stop())

  function prefixIn(scope: PageScope, content: number): [number, number] {
    const id = Buffer.alloc(ID_BYTES)
    scope.hasher.hashPages(pageOf(content), 0, 1, id, 0)
    return [id.readUInt32BE(0), id.readUInt32BE(4)]
  }

  /** How many of the pages are stable for a tenant, and the guests that hold each. */
  function stable(tenant?: string): { pages: number; guests: Set<number> } {
    const run = new PrefixRun()
    census.stablePages(0, 2 ** 32 - 1, run, tenant)
    return { pages: run.count, guests: new Set(run.guests.subarray(0, run.count)) }
  }

  it('hashes each guest with its tenant\'s key: equal pages of two tenants are two pages', async () => {
    const [blue, red] = [scopes.of('blue-1')!, scopes.of('red-1')!]
    assert.equal(census.totals.distinctPages, 2 * PAGES.length)
    assert.deepEqual([census.of('blue-1')!.scope, census.of('red-1')!.scope], [blue, red])
    for (const content of PAGES) {
      assert.ok(census.has(...prefixIn(blue, content), 64) && census.has(...prefixIn(blue, content), 64, 'blue'))
      assert.ok(!census.has(...prefixIn(blue, content), 64, 'red'))
      assert.ok(!census.has(...prefixIn(scopes.oldest, content), 64))
    }
    await clock.until(() => census.all().every(({ isCompared }) => isCompared))
    assert.deepEqual(stable('blue'), { pages: PAGES.length, guests: new Set([2]) })
    assert.deepEqual(stable('red'), { pages: PAGES.length, guests: new Set([1]) })
    assert.equal(stable('shared').pages, 0)
    assert.equal(stable().pages, 2 * PAGES.length)
  })

  it('reads a page of either tenant by its id, and no page of the one by an id of the other', async () => {
    const [blue, red] = [scopes.of('blue-1')!, scopes.of('red-1')!]
    for (const [scope, kind] of [[blue, 'resident'], [red, 'resident'], [scopes.oldest, undefined]] as const) {
      const batch = new PageBatch(new Uint8Array(ID_BYTES))
      scope.hasher.hashPages(pageOf(7), 0, 1, batch.ids, 0)
      await verified(census.resident, scopes.verifier).fill(batch, new AbortController().signal)
      assert.equal(batch.filledBy(0), kind)
    }
  })

  it('scans guests anew at once when the epoch changes, and keeps the old pages while that one lives', async () => {
    const [old, next] = [madeEpoch(1), madeEpoch(2)]
    const before = scopes.of('blue-1')!
    const { generation } = census
    scopes.add(next)
    await clock.until(() => census.settled)
    assert.equal(census.of('blue-1')!.scope, before)
    const scans = census.totals.scans
    scopes.use(next.id)
    assert.equal(census.settled, false)
    assert.notEqual(census.generation, generation)
    assert.ok(census.has(...prefixIn(before, 7), 64), 'until it is scanned')
    await clock.until(() => census.settled)
    assert.equal(census.totals.scans, scans + 3)
    const after = census.of('blue-1')!
    assert.deepEqual([after.scope, after.isCompared], [scopes.of('blue-1'), false])
    assert.ok(!census.has(...prefixIn(before, 7), 64))
    scopes.retire(old.id)
    assert.equal(census.of('blue-1'), after)
    assert.ok(census.settled)
  })

  it('forgets at once what was hashed in an epoch that has ended', async () => {
    const [old, next] = [madeEpoch(1), madeEpoch(2)]
    scopes.add(next)
    scopes.use(next.id)
    scopes.retire(old.id)
    assert.equal(census.of('red-1'), undefined)
    await clock.until(() => census.settled)
    assert.equal(census.of('red-1')!.scope, scopes.of('red-1'))
  })
})
