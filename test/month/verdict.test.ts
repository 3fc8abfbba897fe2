import assert from 'node:assert/strict'

import { slopeOf, type Figures } from './figures.ts'
import { drawMonth } from './plot.ts'
import { shareOf } from './run.ts'
import { faultsOf, lagOf, type Days } from './verdict.ts'

const FLAT: Figures = {
  heapBytes: 30e6, externalBytes: 5e6, rssBytes: 150e6, timers: 4, descriptors: 31, sockets: 8, threads: 11,
  lagP99Ms: 10, lagMaxMs: 40,
}

/** Thirty days of two agents; `change` of the second one's on each day. */
function monthOf(change: (day: number) => Partial<Figures> = () => ({})): Days {
  const days = Array.from({ length: 30 }, (_, day) => day)
  return { a: days.map(() => FLAT), b: days.map((day) => ({ ...FLAT, ...change(day) })) }
}

describe('the verdict on a month', () => {
  it('finds the slope of a line, and none in what goes up and down', () => {
    assert.equal(slopeOf([1, 3, 5, 7]), 2)
    assert.equal(slopeOf([4, 4, 4]), 0)
    assert.equal(slopeOf([1, 5, 5, 1]), 0)
    assert.equal(slopeOf([3]), 0)
  })

  it('is good if all is flat, goes up and down, or rises while it warms up', () => {
    assert.deepEqual(faultsOf(monthOf()), [])
    assert.deepEqual(faultsOf(monthOf((day) => ({ timers: 4 + day % 3, descriptors: 31 + day % 2 }))), [])
    assert.deepEqual(faultsOf(monthOf((day) => ({ heapBytes: 20e6 + 2e6 * Math.min(day, 6) }))), [])
  })

  for (const [title, change] of Object.entries({
    'a descriptor in five days': (day: number) => ({ descriptors: 31 + Math.floor(day / 5) }),
    'half a megabyte a day': (day: number) => ({ heapBytes: 30e6 + day * 5e5 }),
    'a thread in ten days': (day: number) => ({ threads: 11 + Math.floor(day / 10) }),
  })) {
    it(`names what rises: ${title}`, () => {
      const faults = faultsOf(monthOf(change))
      assert.equal(faults.length, 1, faults.join())
      assert.match(faults[0]!, /of b rises/)
    })
  }

  it('tells the lag of the day in the middle, and of the worst', () => {
    assert.deepEqual(lagOf(monthOf((day) => ({ lagP99Ms: day === 3 ? 80 : 10 }))), { medianMs: 10, highestMs: 80 })
  })

  it('spreads everything over the days', () => {
    const shares = Array.from({ length: 7 }, (_, day) => shareOf(100, day, 7))
    assert.equal(shares.reduce((sum, share) => sum + share), 100)
    assert.ok(Math.max(...shares) - Math.min(...shares) <= 1)
  })

  it('is drawn with a panel a figure and a line an agent', () => {
    const svg = drawMonth(monthOf(), '2000 handoffs')
    for (const words of ['2000 handoffs', 'heap after collection', 'descriptors', 'timers', 'threads']) {
      assert.ok(svg.includes(words), words)
    }
    assert.equal(svg.match(/stroke="#1b6ca8"/g)?.length, 7)
  })
})
