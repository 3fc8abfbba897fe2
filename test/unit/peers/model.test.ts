import assert from 'node:assert/strict'

import { MODEL, SyntheticCluster, type SyntheticGuest } from '../../../peers/model.ts'

const PAGES = 2000
const LOOK = 100

function contents(guest: SyntheticGuest, look: number): Set<number> {
  return new Set(Array.from({ length: guest.pages }, (_, page) => guest.contentAt(page, look)))
}

function share(of: Set<number>, isCounted: (content: number) => boolean): number {
  return [...of].filter(isCounted).length / of.size
}

describe('the model of synthetic guests', () => {
  const cluster = new SyntheticCluster({ seed: 3, pagesPerGuest: PAGES, systems: 1, applications: 2 })
  const guests = Array.from({ length: 12 }, (_, index) => cluster.guestOf(index))

  it('is the same for the same seed, and another for another', () => {
    const again = new SyntheticCluster({ seed: 3, pagesPerGuest: PAGES, systems: 1, applications: 2 }).guestOf(5)
    assert.deepEqual(contents(again, LOOK), contents(guests[5]!, LOOK))
    const other = new SyntheticCluster({ seed: 4, pagesPerGuest: PAGES }).guestOf(5)
    assert.equal(share(contents(other, LOOK), (content) => contents(again, LOOK).has(content)), 0)
  })

  it('has in common what real guests have: the system with all, the application with some', () => {
    const own = contents(guests[0]!, LOOK)
    const shares = guests.slice(1).map((guest) => {
      const others = contents(guest, LOOK)
      return share(own, (content) => others.has(content))
    })
    const withOther = Math.min(...shares)
    const withSame = Math.max(...shares)
    assert.ok(Math.abs(withOther - MODEL.systemShare) < 0.02, `${withOther}`)
    assert.ok(Math.abs(withSame - withOther - MODEL.applicationShare) < 0.02, `${withSame}`)
    assert.equal(own.size, PAGES)
  })

  it('changes at the fitted rates, and never back', () => {
    const guest = guests[0]!
    const firstPrivate = cluster.systemPages + cluster.applicationPages
    const changedOf = (first: number, last: number): number => {
      let changed = 0
      for (let page = first; page < last; page++) if (!guest.isStable(page, LOOK)) changed += 1
      return changed / (last - first)
    }
    assert.ok(changedOf(0, cluster.systemPages) < 0.01)
    const expected = MODEL.hotShare + (1 - MODEL.hotShare) / MODEL.privatePeriod
    assert.ok(Math.abs(changedOf(firstPrivate, PAGES) - expected) < 0.02)
    const seen = new Set(Array.from({ length: 10 }, (_, look) => guest.contentAt(firstPrivate, look)))
    assert.equal(seen.size, 10)
  })

  it('gives the stable pages at once as one by one', () => {
    const into = new Float64Array(PAGES)
    for (const guest of guests.slice(0, 3)) {
      const count = guest.stableContents(LOOK, into, 0)
      const expected = Array.from({ length: PAGES }, (_, page) => page)
        .filter((page) => guest.isStable(page, LOOK)).map((page) => guest.contentAt(page, LOOK))
      assert.deepEqual([...into.subarray(0, count)], expected)
    }
  })

  it('keeps what is common over a reboot, and nothing private', () => {
    const guest = cluster.guestOf(3)
    const before = contents(guest, LOOK)
    guest.reboot()
    const kept = share(contents(guest, LOOK), (content) => before.has(content))
    assert.ok(Math.abs(kept - MODEL.systemShare - MODEL.applicationShare) < 0.02, `${kept}`)
  })

  it('spreads contents evenly, and popular systems further than others', () => {
    const buckets = new Array<number>(16).fill(0)
    for (const content of contents(guests[1]!, LOOK)) buckets[Math.floor(content / 2 ** 49)]! += 1
    for (const count of buckets) assert.ok(count > PAGES / 16 / 1.6 && count < PAGES / 16 * 1.6, `${buckets}`)
    const wide = new SyntheticCluster({ seed: 1, pagesPerGuest: 10 })
    const firstPages = Array.from({ length: 800 }, (_, index) => wide.guestOf(index).contentAt(0, 0))
    const counts = [...Map.groupBy(firstPages, (content) => content).values()].map(({ length }) => length)
    counts.sort((one, other) => other - one)
    assert.ok(counts[0]! > 2 * counts[3]! && counts[3]! > 20, `${counts}`)
  })
})
