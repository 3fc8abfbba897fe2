import assert from 'node:assert/strict'
import { join } from 'node:path'

import type { GuestCensus } from '../../../src/census/index.ts'
import { PageColumns, SortedTable } from '../../../src/page/index.ts'
import { createKeeper, Holders, type Keeper } from '../../../src/placement/index.ts'
import { TailOwners } from '../../../src/placement/tailowners.ts'
import type { Popularity } from '../../../src/popularity/index.ts'
import { silentLog } from '../../../src/runtime/log.ts'
import type { Store } from '../../../src/store/index.ts'
import type { FetchInit, WantedPages } from '../../../src/swap/index.ts'
import { madeScope } from '../../support/madescopes.ts'
import { hasher, keptBy, keyOf, madeDirectory, madeStore, numbers, pagesOf, prefixOf } from '../../support/madestore.ts'
import { SteppedClock } from '../../support/steppedclock.ts'
import { MadeGuest, pageOf as guestPageOf } from '../census/madememory.ts'

const INTERVAL_MS = 60_000
/** Pages that a holder sends at once. */
const ARRIVE_AT_ONCE = 100
const MEMBERS = ['b', 'c', 'd']

/** A mesh in which pages are popular, and other hosts give those that they have. */
class World {
  readonly clock = new SteppedClock()
  /** Guests that hold each popular page, by its number. */
  popular = new Map<number, number>()
  /** Guests that hold pages of guests here, by the keys of their prefixes. */
  readonly alsoPopular = new Map<ReturnType<typeof keyOf>, number>()
  members = MEMBERS
  /** Pages that nobody gives. */
  readonly lost = new Set<number>()
  /** What was asked for, and of whom; and when each question came. */
  readonly asked: { page: number; holders: readonly string[] }[] = []
  readonly askedAt: number[] = []
  onFetch: (init: FetchInit) => Promise<void> | void = () => {}
  guests: GuestCensus[] = []
  readonly store: Store
  readonly keeper: Keeper
  readonly holders: Holders

  constructor(store: Store) {
    this.store = store
    const popularity = { view: this.#view() }
    const mesh = {
      self: { name: 'a', peerId: 'a', address: '' },
      members: () => this.members.map((name) => ({ name, peerId: name, address: '' })),
    }
    this.holders = new Holders({ clock: this.clock, mesh, popularity })
    this.keeper = createKeeper({
      clock: this.clock, random: { fraction: () => 0.5, bytes: (count) => new Uint8Array(count) }, log: silentLog,
      hasher, store, mesh, popularity, holders: this.holders,
      census: { all: () => this.guests, settled: true },
      swap: {
        traffic: { placement: { sentBytes: 0, receivedBytes: 0 }, handoff: { sentBytes: 0, receivedBytes: 0 } },
        pages: { served: 0, fetched: 0, missing: 0, wrong: 0 },
        fetch: (wanted, init) => this.#fetch(wanted, init),
        standBack: () => () => undefined,
        start: async () => undefined,
        stop: async () => undefined,
      },
    }, { intervalMs: INTERVAL_MS })
  }

  /** Makes pages popular, the first ones most. */
  makePopular(pages: readonly number[], guests = 1000): void {
    this.popular = new Map(pages.map((page, place) => [page, guests - place]))
  }

  kept(): number[] {
    const kept = keptBy(this.store)
    return numbers(2000).filter((page) => kept.has(keyOf(...prefixOf(page))))
  }

  kindOf(page: number): string | undefined {
    return keptBy(this.store).get(keyOf(...prefixOf(page)))?.kind
  }

  async pass(intervals: number): Promise<void> {
    const end = this.clock.now() + intervals * INTERVAL_MS
    let isOver = false
    this.clock.after(end - this.clock.now(), () => { isOver = true })
    await this.clock.until(() => isOver)
  }

  #view(): Popularity['view'] {
    const popular = (): ReadonlyMap<number, number> => this.popular
    const guestsOf = (high: number, low: number): number => {
      const page = numbers(2000).find((number) => keyOf(...prefixOf(number)) === keyOf(high, low))
      return page === undefined ? this.alsoPopular.get(keyOf(high, low)) ?? 0 : popular().get(page) ?? 0
    }
    return {
      get pages() { return popular().size },
      bytes: 0,
      guestsOf,
      hostsOf: (high, low) => Math.min(3, guestsOf(high, low)),
      holdersOf: () => ['a', 'b'],
      among: (prefixes) => ({ ...prefixes, indices: new Uint32Array(0) }),
      forEach(visit) {
        const rising = [...popular()].map(([page, guests]) => ({ key: keyOf(...prefixOf(page)), page, guests }))
          .sort((one, other) => (one.key < other.key ? -1 : 1))
        for (const { page, guests } of rising) visit(...prefixOf(page), guests, 3)
      },
      top: () => { throw new Error('not asked for') },
    }
  }

  async #fetch(wanted: WantedPages, init: FetchInit): Promise<{ fetched: number; missing: number }> {
    this.askedAt.push(this.clock.now())
    await this.onFetch(init)
    init.signal.throwIfAborted()
    const all = new Map(numbers(2000).map((page) => [keyOf(...prefixOf(page)), page]))
    const found: [index: number, page: number][] = []
    for (let index = 0; index < wanted.count; index++) {
      const page = all.get(keyOf(wanted.high[index]!, wanted.low[index]!))!
      this.asked.push({ page, holders: wanted.holdersOf(index) })
      if (!this.lost.has(page)) found.push([index, page])
    }
    for (let start = 0; start < found.length; start += ARRIVE_AT_ONCE) {
      const part = found.slice(start, start + ARRIVE_AT_ONCE)
      const { ids, bytes, count } = pagesOf(part.map(([, page]) => page))
      const indices = Uint32Array.from(part, ([index]) => index)
      await init.deliver({ ids: Buffer.from(ids), bytes: Buffer.from(bytes), count, indices })
    }
    return { fetched: found.length, missing: wanted.count - found.length }
  }
}

/** What the census knows of a guest that holds these pages. */
function censusOf(pages: readonly number[], prefixes = pages.map((page) => prefixOf(page))): GuestCensus {
  const columns = new PageColumns(pages.length)
  for (const [index, page] of pages.entries()) columns.push(...prefixes[index]!, page)
  const table = SortedTable.from(columns)
  return {
    guest: 'web', scope: madeScope(),
    residentPages: pages.length, zeroPages: 0, distinctPages: pages.length, omittedPages: 0, scans: 2,
    scannedAt: 0, table, numberAt: (index) => table.valueAt(index), isCompared: true, isStable: () => true,
  }
}

describe('the keeper', () => {
  const directory = madeDirectory()
  let world: World
  let made = 0

  async function begin(slots: number): Promise<World> {
    const store = slots === 0 ? madeStore(join(directory, 'none'), { bytesMax: 0 })
      : madeStore(join(directory, `store-${made++}`), { slots })
    await store.start()
    world = new World(store)
    return world
  }

  async function settle(): Promise<void> {
    await world.clock.until(() => world.keeper.totals.pending === 0)
  }

  function prefixOfContent(content: number): [high: number, low: number] {
    const id = Buffer.alloc(16)
    hasher.hashPages(guestPageOf(content), 0, 1, id, 0)
    return [id.readUInt32BE(0), id.readUInt32BE(4)]
  }

  /** A guest with these contents leaves. */
  async function depart(contents: readonly number[]): Promise<void> {
    const known = new Set(contents.map((content) => keyOf(...prefixOfContent(content))))
    await world.keeper.keepDeparted(new MadeGuest('web', [[...contents]]), {
      hasher, count: contents.length,
      forEachNumber(visit) { for (const number of numbers(contents.length)) visit(number) },
      has: (high, low) => known.has(keyOf(high, low)),
    })
  }

  afterEach(async () => {
    await world.keeper.stop()
    await world.store.stop()
  })

  it('fills the store of a host without guests by itself, the best pages, and is then settled', async () => {
    const { keeper, store } = await begin(300)
    world.makePopular(numbers(500))
    assert.equal(keeper.totals.pending, 0, 'nothing is expected before the start')
    await keeper.start()
    assert.ok(keeper.totals.pending > 0, 'a view is there that nobody has planned for')
    await settle()
    assert.ok(world.askedAt[0]! <= INTERVAL_MS / 2)
    assert.equal(store.pages, 300)
    assert.deepEqual(keeper.totals, { wanted: 300, held: 300, pending: 0 })
    const head = numbers(500).filter((page) => world.kindOf(page) === 'head')
    assert.deepEqual(head, numbers(head.length))
    assert.ok(head.length >= 270)
    const owners = new TailOwners({ self: 'a', others: MEMBERS, copies: 2 })
    const tail = numbers(500).filter((page) => world.kindOf(page) === 'tail')
    assert.ok(tail.every((page) => owners.owns(prefixOf(page)[1])))
    const before = world.asked.length
    await world.pass(5)
    assert.equal(world.asked.length, before, 'there is nothing more to do')
  })

  it('asks those who are said to hold a page, and the owners of the tail, each once, and not itself', async () => {
    await begin(300)
    world.makePopular(numbers(200))
    await world.keeper.start()
    await settle()
    assert.equal(world.asked.length, 200)
    for (const { page, holders } of world.asked) {
      assert.equal(new Set(holders).size, holders.length)
      assert.ok(holders.includes('b') && !holders.includes('a'))
      for (const owner of world.holders.of(...prefixOf(page))) assert.ok(holders.includes(owner))
    }
  })

  it('does not fetch what is resident here', async () => {
    await begin(300)
    world.makePopular(numbers(200))
    world.guests = [censusOf(numbers(150)), censusOf(numbers(20, 140))]
    await world.keeper.start()
    await settle()
    assert.deepEqual(world.kept(), numbers(40, 160))
  })

  it('drops what is no longer wanted when room is needed, and not before', async () => {
    await begin(200)
    world.makePopular(numbers(150))
    await world.keeper.start()
    await settle()
    world.makePopular(numbers(40, 500))
    await world.clock.until(() => world.store.pages === 190)
    await settle()
    assert.deepEqual(world.keeper.totals, { wanted: 40, held: 40, pending: 0 })
    world.makePopular(numbers(100, 500))
    await world.clock.until(() => world.store.pages === 200)
    assert.deepEqual(world.kept().filter((page) => page >= 500), numbers(100, 500))
  })

  it('takes what guests left as its own when it becomes popular', async () => {
    await begin(300)
    await world.store.put(pagesOf(numbers(50)), 'departed')
    world.makePopular(numbers(20))
    await world.keeper.start()
    await settle()
    await world.clock.until(() => numbers(20).every((page) => world.kindOf(page) === 'head'))
    assert.deepEqual(numbers(30, 20).filter((page) => world.kindOf(page) !== 'departed'), [])
    assert.equal(world.asked.length, 0)
  })

  it('gives up what nobody gives, and asks again only after some intervals', async () => {
    await begin(300)
    for (const page of [3, 5]) world.lost.add(page)
    world.makePopular(numbers(100))
    await world.keeper.start()
    await settle()
    assert.deepEqual(world.keeper.totals, { wanted: 100, held: 98, pending: 0 })
    await world.pass(4)
    assert.equal(world.asked.length, 100)
    world.lost.clear()
    await world.clock.until(() => world.store.pages === 100)
    assert.equal(world.asked.length, 102)
    assert.ok(world.askedAt.at(-1)! - world.askedAt[0]! >= 6 * INTERVAL_MS)
  })

  it('rests longer and longer while hardly anything can be had', async () => {
    const slots = 2 ** 13
    await begin(slots)
    const error = new Error('nobody answers')
    world.onFetch = () => { throw error }
    world.makePopular(numbers(100))
    await world.keeper.start()
    await world.pass(40)
    const gaps = world.askedAt.slice(1).map((at, index) => Math.round((at - world.askedAt[index]!) / INTERVAL_MS))
    assert.deepEqual(gaps.slice(0, 5), [1, 2, 4, 8, 8])
    assert.equal(world.keeper.totals.pending, 0, 'what has no hope does not keep a host from being settled')
  })

  it('does not fetch again and again what a broken store refuses', async () => {
    await begin(300)
    world.makePopular(numbers(100))
    await world.store.stop()
    await world.keeper.start()
    await world.pass(40)
    assert.ok(world.askedAt.length >= 4 && world.askedAt.length <= 7, `${world.askedAt.length} times`)
    assert.deepEqual(world.keeper.totals, { wanted: 100, held: 0, pending: 0 })
  })

  it('plans nothing without a store, and waits for no view when it is alone or long after the start', async () => {
    const { keeper } = await begin(0)
    world.makePopular(numbers(100))
    await keeper.start()
    assert.deepEqual(keeper.totals, { wanted: 0, held: 0, pending: 0 })
    await world.pass(3)
    assert.equal(world.asked.length, 0)

    await begin(100)
    world.members = []
    await world.keeper.start()
    assert.equal(world.keeper.totals.pending, 0)
    world.members = MEMBERS
    assert.equal(world.keeper.totals.pending, 1, 'others may know what is popular')
    await world.pass(3)
    assert.equal(world.keeper.totals.pending, 0, 'nothing is')
  })

  it('plans at once for a view that has grown', async () => {
    await begin(1000)
    world.makePopular(numbers(50))
    await world.keeper.start()
    await settle()
    world.makePopular(numbers(400))
    assert.ok(world.keeper.totals.pending > 0)
    const grewAt = world.clock.now()
    await settle()
    assert.ok(world.askedAt.at(-1)! - grewAt <= INTERVAL_MS / 2)
    assert.equal(world.store.pages, 400)
  })

  it('stands back while a guest moves', async () => {
    await begin(300)
    world.makePopular(numbers(100))
    const goOn = world.keeper.standBack()
    await world.keeper.start()
    await world.pass(2)
    assert.equal(world.asked.length, 0)
    assert.ok(world.keeper.totals.pending > 0)
    goOn()
    await settle()
    assert.equal(world.store.pages, 100)
  })

  it('stops at once, in the middle of a fetch', async () => {
    await begin(300)
    world.makePopular(numbers(100))
    let isFetching = false
    world.onFetch = ({ signal }) => new Promise((_, reject) => {
      isFetching = true
      signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true })
    })
    await world.keeper.start()
    await world.clock.until(() => isFetching)
    await world.keeper.stop()
    await world.keeper.stop()
    assert.equal(world.store.pages, 0)
  })

  it('keeps what a guest left in the room that nothing better takes, and in place of what nobody wants', async () => {
    await begin(100)
    world.makePopular(numbers(60))
    await world.keeper.start()
    await settle()
    world.makePopular(numbers(30))
    await world.clock.until(() => world.keeper.totals.wanted === 30)
    assert.equal(world.store.pages, 60)
    await depart(numbers(65))
    const left = [...keptBy(world.store).values()].filter(({ kind }) => kind === 'departed')
    assert.equal(left.length, 65)
    assert.deepEqual(world.kept(), numbers(30), 'the head stays')
    assert.deepEqual(world.keeper.totals, { wanted: 95, held: 95, pending: 0 })
  })

  it('keeps what a guest left in place of kept pages that are worth less, if no other guest here has it', async () => {
    await begin(100)
    world.makePopular(numbers(100), 200)
    await world.keeper.start()
    await settle()
    await world.pass(2)
    assert.equal(world.store.pages, 100)
    for (const content of numbers(10)) world.alsoPopular.set(keyOf(...prefixOfContent(content)), 1000)
    world.guests = [{ ...censusOf(numbers(4), numbers(4).map(prefixOfContent)), guest: 'other' }]
    const asked = world.asked.length
    await depart(numbers(20))
    const kept = keptBy(world.store)
    const kinds = numbers(20).map((content) => kept.get(keyOf(...prefixOfContent(content)))?.kind)
    assert.deepEqual(kinds, [...numbers(4).map(() => undefined), ...numbers(6).map(() => 'head'),
      ...numbers(10).map(() => undefined)])
    assert.equal(world.store.pages, 100)
    assert.equal(world.kept().length, 94)
    assert.deepEqual(world.kept().slice(0, 80), numbers(80), 'the best stay')
    assert.equal(world.asked.length, asked, 'nothing is fetched for it')
  })
})
