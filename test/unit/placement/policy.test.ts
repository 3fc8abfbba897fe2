import assert from 'node:assert/strict'

import fc from 'fast-check'

import { Exchange } from '../../../src/placement/exchange.ts'
import { fetchGuestsMin } from '../../../src/placement/policy.ts'
import { TailOwners } from '../../../src/placement/tailowners.ts'
import { carriedOut, highOf, lowOf, pagesIn, plan, type MadeStore, type MadeView, type Settings } from './made.ts'

/** Page n is held by as many guests as stand at place n. */
function viewOf(...guests: number[]): MadeView {
  return new Map(guests.map((count, page) => [page, { guests: count, hosts: Math.min(count, 10) }]))
}

function numbers(count: number): number[] {
  return Array.from({ length: count }, (_, page) => page)
}

describe('placement policy', () => {
  it('keeps all that is popular as the head when it fits, the best first', () => {
    const made = plan({ view: viewOf(3, 9, 5, 2), budgetPages: 4 })
    assert.deepEqual(pagesIn(made.fetch), [1, 2, 0, 3])
    assert.deepEqual([made.fetch.headCount, made.wanted, made.dropCount], [4, 4, 0])
  })

  it('ranks by guests, then hosts, then prefix', () => {
    const view: MadeView = new Map([
      [0, { guests: 5, hosts: 2 }], [1, { guests: 5, hosts: 3 }], [2, { guests: 6, hosts: 2 }],
      [3, { guests: 5, hosts: 2 }],
    ])
    assert.deepEqual(pagesIn(plan({ view, budgetPages: 4 }).fetch), [2, 1, 0, 3])
  })

  it('leaves out what is resident here, and what could not be had', () => {
    const view = viewOf(9, 8, 7, 6)
    const made = plan({ view, budgetPages: 2, resident: new Set([0]), givenUp: new Set([2]) })
    assert.deepEqual(pagesIn(made.fetch), [1, 3])
  })

  it('wants nothing without room, members or popular pages', () => {
    for (const settings of [
      { view: viewOf(5, 4), budgetPages: 0 }, { view: viewOf(), budgetPages: 10 },
    ] satisfies Settings[]) {
      const made = plan(settings)
      assert.deepEqual([made.wanted, made.fetch.count, made.claim.count, made.surplus.count], [0, 0, 0, 0])
    }
  })

  it('spreads below the head what it owns, each page on so many hosts', () => {
    const members = numbers(10).map((host) => `host-${host}`)
    const view = viewOf(...numbers(1000).map((page) => 2000 - page))
    const copies = new Map<number, number>()
    for (const self of members) {
      const made = plan({ view, budgetPages: 100, headShare: 0.8, self, members })
      assert.equal(made.wanted, 100)
      const pages = pagesIn(made.fetch)
      assert.deepEqual(pages.slice(0, made.fetch.headCount), numbers(80))
      for (const page of pages) copies.set(page, (copies.get(page) ?? 0) + 1)
    }
    // 20 pages of tail on each of ten hosts are 100 pages on two hosts each, give or take where the shares end.
    const tail = numbers(1000).slice(80, 150).map((page) => copies.get(page))
    assert.deepEqual(new Set(tail), new Set([2]))
    assert.ok(![...copies.keys()].some((page) => page > 300))
  })

  it('gives to the head what the tail does not need', () => {
    const members = numbers(100).map((host) => `host-${host}`)
    const view = viewOf(...numbers(1000).map((page) => 2000 - page))
    const made = plan({ view, budgetPages: 500, headShare: 0.5, self: 'host-3', members })
    const owners = new TailOwners({ self: 'host-3', others: members.filter((name) => name !== 'host-3'), copies: 2 })
    const { headCount } = made.fetch
    const owned = numbers(1000).slice(headCount).filter((page) => owners.owns(lowOf(page)))
    assert.equal(headCount + owned.length, 500)
    assert.deepEqual(pagesIn(made.fetch), [...numbers(headCount), ...owned])
  })

  it('claims what guests left, and names as surplus what is no longer wanted, the least worth first', () => {
    const store: MadeStore = new Map([
      [0, 'departed'], [1, 'head'], [5, 'head'], [4, 'tail'], [77, 'head'], [88, 'departed'],
    ])
    const resident = new Set([1])
    const made = plan({ view: viewOf(20, 19, 18, 17, 3, 2), store, budgetPages: 6, headShare: 1, resident })
    assert.deepEqual(pagesIn(made.claim), [0, 4])
    assert.deepEqual(pagesIn(made.fetch), [2, 3])
    assert.deepEqual(pagesIn(made.surplus), [77])
    assert.equal(made.dropCount, 1, 'the surplus goes before what guests left')
    const tight = plan({ view: viewOf(20, 19, 18, 17, 3, 2), store, budgetPages: 3, headShare: 1 })
    assert.deepEqual(pagesIn(tight.surplus), [77, 4, 5], 'what was the head counts for more than it is worth')
  })

  it('keeps what has become resident, and fetches no such page', () => {
    const store: MadeStore = new Map([[0, 'head'], [1, 'tail'], [2, 'departed']])
    const at = (guests: number): number[] => pagesIn(plan({
      view: viewOf(20, 20, 20, 20, guests), store, budgetPages: 1, headShare: 1, resident: new Set([0, 1, 2, 3]),
    }).fetch)
    assert.deepEqual([at(90), at(91)], [[], [4]])
  })

  it('drops nothing while there is room', () => {
    const store: MadeStore = new Map([[7, 'head'], [8, 'tail'], [9, 'departed']])
    assert.equal(plan({ view: viewOf(5, 5), store, budgetPages: 5 }).dropCount, 0)
    assert.equal(plan({ view: viewOf(5, 5), store, budgetPages: 4 }).dropCount, 1)
  })

  it('fetches no page for the place of a kept one before it is worth four times as much', () => {
    const store: MadeStore = new Map([[0, 'head']])
    const at = (kept: number, other: number): number[] =>
      pagesIn(plan({ view: viewOf(kept, other), store, budgetPages: 1, headShare: 1 }).fetch)
    assert.deepEqual([at(80, 345), at(80, 346)], [[], [1]])
    assert.deepEqual([at(2, 13), at(2, 14)], [[], [1]])
  })

  it('fetches no page that few guests hold, but keeps one that is here', () => {
    const made = plan({ view: viewOf(9, 4, 3, 3), store: new Map([[3, 'departed']]), budgetPages: 4, guestsMin: 4 })
    assert.deepEqual([pagesIn(made.fetch), pagesIn(made.claim), made.wanted], [[0, 1], [3], 3])
    assert.ok(fetchGuestsMin(6) <= 2, 'in a small mesh all that is popular is fetched')
    assert.equal(fetchGuestsMin(300), 100)
  })

  it('names the kept pages of the head that are worth least, for what a guest leaves', () => {
    const store: MadeStore = new Map([[0, 'head'], [1, 'head'], [2, 'head']])
    const { least } = plan({ view: viewOf(20, 9, 14, 30), store, budgetPages: 4, headShare: 1 })
    assert.deepEqual([pagesIn(least), [...least.guests]], [[1, 2, 0], [9, 14, 20]])
    const exchange = new Exchange(least)
    assert.deepEqual([exchange.mayReplace(11), exchange.mayReplace(12)], [false, true])
    assert.deepEqual(exchange.take(), [highOf(1), lowOf(1)])
    assert.deepEqual([exchange.mayReplace(16), exchange.mayReplace(17)], [false, true])
    exchange.take()
    exchange.take()
    assert.equal(exchange.mayReplace(1000), false)
  })
})

const worlds = fc.record({
  guests: fc.array(fc.integer({ min: 2, max: 40 }), { maxLength: 60 }),
  kept: fc.array(
    fc.tuple(fc.integer({ min: 0, max: 80 }), fc.constantFrom('head', 'tail', 'departed')), { maxLength: 30 },
  ),
  resident: fc.array(fc.integer({ min: 0, max: 59 }), { maxLength: 20 }),
  budgetPages: fc.integer({ min: 0, max: 50 }),
  headShare: fc.constantFrom(0, 0.5, 0.9, 1),
  hosts: fc.integer({ min: 1, max: 12 }),
})

describe('placement policy, whatever is popular and kept', () => {
  it('stays in its budget, and has nothing to do once its plan is carried out', () => {
    fc.assert(fc.property(worlds, ({ guests, kept, resident, budgetPages, headShare, hosts }) => {
      const store = new Map(kept.slice(0, budgetPages)) as MadeStore
      const settings = {
        view: viewOf(...guests), budgetPages, headShare, resident: new Set(resident), self: 'host-0',
        members: numbers(hosts).map((host) => `host-${host}`),
      }
      const first = plan({ ...settings, store })
      const after = carriedOut(store, first, budgetPages)
      assert.ok(first.wanted <= budgetPages && after.size <= budgetPages)
      assert.ok(!pagesIn(first.fetch).some((page) => resident.includes(page) || store.has(page)))
      assert.equal(new Set([...pagesIn(first.fetch), ...pagesIn(first.surplus)]).size,
        first.fetch.count + first.surplus.count)
      const second = plan({ ...settings, store: after })
      assert.deepEqual([second.wanted, second.fetch.count, second.dropCount], [first.wanted, 0, 0])
      // Where the head ends, what is kept as the tail may turn out to be the head's: once.
      const third = plan({ ...settings, store: carriedOut(after, second, budgetPages) })
      assert.deepEqual([third.wanted, third.fetch.count, third.claim.count, third.dropCount], [first.wanted, 0, 0, 0])
    }), { numRuns: 2000 })
  })

  it('fetches nothing when counts waver by a sixteenth', () => {
    const wavers = fc.array(fc.integer({ min: -1, max: 1 }), { minLength: 400, maxLength: 400 })
    fc.assert(fc.property(wavers, fc.integer({ min: 5, max: 200 }), (changes, budgetPages) => {
      const guests = numbers(400).map((page) => 32 + page)
      const first = plan({ view: viewOf(...guests), budgetPages })
      const store = carriedOut(new Map(), first, budgetPages)
      const wavered = guests.map((count, page) => Math.round(count * (1 + changes[page]! / 17)))
      const second = plan({ view: viewOf(...wavered), budgetPages, store })
      assert.deepEqual([second.fetch.count, second.dropCount], [0, 0])
    }), { numRuns: 200 })
  })
})

describe('tail owners', () => {
  const members = numbers(20).map((host) => `host-${host}`)
  const ownersAt = (self: string, all = members): TailOwners =>
    new TailOwners({ self, others: all.filter((name) => name !== self), copies: 3 })

  it('are the same few hosts whoever asks', () => {
    for (const page of numbers(200)) {
      const owning = members.filter((self) => ownersAt(self).owns(lowOf(page)))
      assert.equal(owning.length, 3)
      for (const self of members) {
        assert.deepEqual(new Set(ownersAt(self).othersOf(lowOf(page))), new Set(owning.filter((name) => name !== self)))
      }
    }
  })

  it('change for few pages when a member leaves, and are all where there are few', () => {
    const without = members.filter((name) => name !== 'host-7')
    for (const page of numbers(200)) {
      const before = ownersAt('host-0').othersOf(lowOf(page))
      const after = ownersAt('host-0', without).othersOf(lowOf(page))
      if (!before.includes('host-7')) assert.deepEqual(after, before)
    }
    assert.deepEqual(new TailOwners({ self: 'a', others: ['b'], copies: 3 }).othersOf(5), ['b'])
    assert.ok(new TailOwners({ self: 'a', others: ['b', 'c'], copies: 3 }).owns(5))
  })
})
