import assert from 'node:assert/strict'

import { joinPopularity, type Popularity, type PopularityView } from '../../../src/popularity/index.ts'

type Page = [high: number, low: number, guests: number, hosts: number]

function viewOf(pages: readonly Page[]): PopularityView {
  const rising = pages.toSorted((one, other) => one[0] - other[0])
  const find = (high: number, low: number): Page | undefined =>
    pages.find((page) => page[0] === high && page[1] === low)
  return {
    pages: pages.length, bytes: pages.length * 19,
    guestsOf: (high, low) => find(high, low)?.[2] ?? 0,
    hostsOf: (high, low) => find(high, low)?.[3] ?? 0,
    holdersOf: (high, low) => (find(high, low) === undefined ? [] : [`of ${high}`]),
    among: ({ count, high, low }) => {
      const indices = Uint32Array.from({ length: count }, (_, index) => index)
        .filter((index) => find(high[index]!, low[index]!) !== undefined)
      const at = (from: Uint32Array): Uint32Array => indices.map((index) => from[index]!)
      return { count: indices.length, indices, high: at(high), low: at(low) }
    },
    forEach: (visit) => { for (const page of rising) visit(...page) },
    top: (countMax) => {
      const best = pages.toSorted((one, other) => other[3] - one[3] || other[2] - one[2]).slice(0, countMax)
      return {
        count: best.length,
        high: Uint32Array.from(best, ([high]) => high), low: Uint32Array.from(best, ([, low]) => low),
        guests: Uint16Array.from(best, ([,, guests]) => guests), hosts: Uint16Array.from(best, ([,,, hosts]) => hosts),
        holders: best.map(([high]) => [`of ${high}`]),
      }
    },
  }
}

function partOf(pages: readonly Page[], calls: string[], name: string): Popularity {
  const sizes = { reportBytes: 1, reportedPages: 2, viewPages: 3, viewBytes: 4, publishedPages: 5 }
  return {
    view: viewOf(pages), viewAgeMs: pages.length, traffic: {
      report: { sentBytes: 1, receivedBytes: 2 }, view: { sentBytes: 3, receivedBytes: 4 },
    },
    refusals: { stranger: 1, [name]: 2 }, sizes,
    standBack: () => {
      calls.push(`${name} stands back`)
      return () => { calls.push(`${name} goes on`) }
    },
    rekey: (key) => { calls.push(`${name} has key ${key[0]}`) },
    start: async () => { calls.push(`${name} starts`) },
    stop: async () => { calls.push(`${name} stops`) },
  }
}

describe('the popularity of several tenants', () => {
  const calls: string[] = []
  const blue: Page[] = [[9, 1, 3, 2], [2, 1, 65_535, 65_535]]
  const red: Page[] = [[5, 1, 4, 3], [1, 7, 2, 2], [7, 7, 2, 2]]
  const joined = joinPopularity([partOf(blue, calls, 'blue'), partOf(red, calls, 'red')])
  const { view } = joined

  it('is one\'s own where there is one', () => {
    const part = partOf(blue, calls, 'blue')
    assert.equal(joinPopularity([part]), part)
  })

  it('knows the pages of all, in rising order', () => {
    const all: Page[] = []
    view.forEach((...page) => all.push(page))
    assert.deepEqual(all, [...blue, ...red].toSorted((one, other) => one[0] - other[0]))
    assert.deepEqual([view.pages, view.bytes], [5, 95])
    assert.deepEqual([view.guestsOf(5, 1), view.hostsOf(9, 1), view.hostsOf(9, 2)], [4, 2, 0])
    assert.deepEqual([view.holdersOf(7, 7), view.holdersOf(7, 8)], [['of 7'], []])
  })

  it('lists the best of all', () => {
    const { count, high, hosts, holders } = view.top(3)
    assert.deepEqual([count, [...high], [...hosts]], [3, [2, 5, 9], [65_535, 3, 2]])
    assert.deepEqual(holders, [['of 2'], ['of 5'], ['of 9']])
    assert.equal(view.top(100).count, 5)
  })

  it('finds which of a guest\'s pages are popular, in their order', () => {
    const high = Uint32Array.of(1, 2, 3, 5, 9)
    const found = view.among({ count: 5, high, low: Uint32Array.of(7, 1, 1, 1, 1) }, 64)
    assert.deepEqual([found.count, [...found.indices], [...found.high], [...found.low]],
      [4, [0, 1, 3, 4], [1, 2, 5, 9], [7, 1, 1, 1]])
  })

  it('adds up what all count, and does for all what it is told', async () => {
    assert.deepEqual(joined.traffic, {
      report: { sentBytes: 2, receivedBytes: 4 }, view: { sentBytes: 6, receivedBytes: 8 },
    })
    assert.deepEqual(joined.refusals, { stranger: 2, blue: 2, red: 2 })
    assert.deepEqual(joined.sizes, {
      reportBytes: 2, reportedPages: 4, viewPages: 6, viewBytes: 8, publishedPages: 10,
    })
    assert.equal(joined.viewAgeMs, 3)
    await joined.start()
    joined.standBack()()
    joined.rekey(Uint8Array.of(7))
    await joined.stop()
    assert.deepEqual(calls, ['blue starts', 'red starts', 'blue stands back', 'red stands back', 'blue goes on',
      'red goes on', 'blue has key 7', 'red has key 7', 'blue stops', 'red stops'])
  })
})
