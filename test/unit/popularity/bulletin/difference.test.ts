import assert from 'node:assert/strict'

import fc from 'fast-check'

import { applied, difference } from '../../../../src/popularity/bulletin/difference.ts'
import { PopularRun } from '../../../../src/popularity/popularrun.ts'
import { isClose, popularPagesOf, popularRunOf, type PopularPage } from '../made.ts'

const pages = fc.uniqueArray(fc.record({
  rest: fc.nat(30), hosts: fc.constantFrom(2, 3, 10, 11, 12, 100), guests: fc.constantFrom(100, 104, 120, 65_535),
  holders: fc.uniqueArray(fc.integer({ min: 1, max: 5 }), { minLength: 3, maxLength: 3 }),
}), { selector: ({ rest }) => rest, maxLength: 25 }).map((list) => list.sort((a, b) => a.rest - b.rest))

function differenceOf(published: PopularRun, wanted: PopularRun): PopularRun {
  const changes = new PopularRun(0)
  difference(published, wanted, changes)
  return changes
}

function appliedTo(run: PopularRun, changes: PopularRun): PopularRun {
  const into = new PopularRun(0)
  applied(run, changes, into)
  return into
}

describe('the difference of two runs', () => {
  it('makes one into the other, but for what is not worth a word', () => {
    fc.assert(fc.property(pages, pages, (published, wanted) => {
      const changes = differenceOf(popularRunOf(published), popularRunOf(wanted))
      const made = popularPagesOf(appliedTo(popularRunOf(published), changes))
      assert.deepEqual(made.map(({ rest }) => rest), wanted.map(({ rest }) => rest))
      for (const [index, page] of made.entries()) {
        assert.ok(isClose(page, wanted[index]!), JSON.stringify([page, wanted[index]]))
      }
      assert.equal(differenceOf(popularRunOf(made), popularRunOf(wanted)).count, 0, 'nothing more is to be said')
    }), { numRuns: 500 })
  })

  it('of a run and itself is nothing', () => {
    fc.assert(fc.property(pages, (list) => {
      assert.equal(differenceOf(popularRunOf(list), popularRunOf(list)).count, 0)
    }))
  })

  it('tells a count that moved by more than an eighth, and holders most of whom are wrong', () => {
    const told = (before: Omit<PopularPage, 'rest'>, now: Omit<PopularPage, 'rest'>): boolean =>
      differenceOf(popularRunOf([{ rest: 1, ...before }]), popularRunOf([{ rest: 1, ...now }])).count === 1
    const page = { guests: 80, hosts: 16, holders: [1, 2, 3] }
    assert.equal(told(page, { ...page, guests: 90, hosts: 18 }), false)
    assert.equal(told(page, { ...page, guests: 91 }), true)
    assert.equal(told(page, { ...page, hosts: 13 }), true)
    assert.equal(told(page, { ...page, holders: [2, 1, 9] }), false)
    assert.equal(told(page, { ...page, holders: [8, 1, 9] }), true)
  })

  it('names pages that are popular no more with no hosts, and so that they can be ranked', () => {
    const published = popularRunOf([{ rest: 1, guests: 5, hosts: 2 }, { rest: 4, guests: 6, hosts: 2 }])
    const changes = popularPagesOf(differenceOf(published, new PopularRun(0)))
    assert.deepEqual(changes.map(({ rest, guests, hosts }) => [rest, guests, hosts]), [[1, 5, 0], [4, 6, 0]])
  })
})
