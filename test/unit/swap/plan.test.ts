import assert from 'node:assert/strict'
import fc from 'fast-check'

import type { WantedPages } from '../../../src/swap/index.ts'
import { FetchPlan, WINDOW_PAGES } from '../../../src/swap/plan.ts'

function wantedOf(holders: readonly (readonly number[])[]): WantedPages {
  const count = holders.length
  return {
    count,
    high: Uint32Array.from({ length: count }, (_, index) => index),
    low: new Uint32Array(count),
    holdersOf: (index) => holders[index]!.map(String),
  }
}

function planOf(holders: readonly (readonly number[])[]): FetchPlan {
  return new FetchPlan(wantedOf(holders), Number)
}

const all = (): boolean => true

describe('a plan of a fetch', () => {
  it('gives the most urgent pages first, each to one holder at a time', () => {
    const plan = planOf([[0, 1], [1], [0], [0, 1]])
    assert.deepEqual([plan.openOf(0), plan.openOf(1), plan.openOf(2)], [3, 3, 0])
    assert.deepEqual([...plan.choose(0, 2, all)], [0, 2])
    assert.deepEqual([...plan.choose(1, 9, all)], [1, 3])
    assert.deepEqual([...plan.choose(0, 9, all)], [])
    assert.deepEqual([plan.open, plan.underWay], [0, 4])
  })

  it('goes to the next holder, and gives up when nobody is left', () => {
    const plan = planOf([[0, 1]])
    plan.choose(0, 1, all)
    plan.failed(0, 0, true)
    assert.deepEqual([...plan.choose(0, 1, all)], [])
    assert.deepEqual([...plan.choose(1, 1, all)], [0])
    plan.failed(0, 1, false)
    assert.deepEqual([...plan.choose(1, 1, all)], [0])
    plan.failed(0, 1, true)
    assert.deepEqual([plan.isOver, plan.missing], [true, 1])
  })

  it('leaves open what is not to be asked for now', () => {
    const plan = planOf([[0], [0]])
    assert.deepEqual([...plan.choose(0, 9, (high) => high === 1)], [1])
    assert.deepEqual([...plan.choose(0, 9, all)], [0])
  })

  it('looks at a window of the most urgent, and at the rest as these are over', () => {
    let looked = 0
    const count = WINDOW_PAGES * 3
    const plan = new FetchPlan({
      ...wantedOf(Array.from({ length: count }, () => [0])), holdersOf: () => {
        looked += 1
        return ['0']
      },
    }, Number)
    assert.equal(looked, WINDOW_PAGES)
    const first = plan.choose(0, WINDOW_PAGES, all)
    for (const index of first.subarray(1)) plan.arrived(index)
    assert.equal(looked, WINDOW_PAGES)
    plan.arrived(0)
    assert.equal(looked, 2 * WINDOW_PAGES)
    plan.giveUp()
    assert.deepEqual([plan.isOver, plan.fetched, plan.missing], [true, WINDOW_PAGES, count - WINDOW_PAGES])
  })

  it('ends, whatever comes, with each page fetched or missing once, and nobody asked twice in vain', () => {
    const step = fc.record({
      kind: fc.constantFrom('choose', 'choose', 'arrived', 'arrived', 'lacks', 'later', 'stolen', 'drop'),
      holder: fc.nat(4), count: fc.integer({ min: 1, max: 12 }), pick: fc.nat(),
    })
    fc.assert(fc.property(
      fc.array(fc.uniqueArray(fc.nat(4), { maxLength: 4 }), { maxLength: 40 }), fc.array(step, { maxLength: 120 }),
      (holders, steps) => {
        const model = new Model(holders)
        for (const { kind, holder, count, pick } of steps) model.step(kind, holder, count, pick)
        model.end()
      },
    ))
  })
})

/** The same by sets, slowly. */
class Model {
  readonly #plan: FetchPlan
  readonly #left: Set<number>[]
  readonly #underWay = new Map<number, number>()
  readonly #over = new Map<number, 'fetched' | 'missing'>()

  constructor(holders: readonly (readonly number[])[]) {
    this.#plan = planOf(holders)
    this.#left = holders.map((names) => new Set(names))
    this.#left.forEach((_, index) => this.#missIfHopeless(index))
    this.#compare()
  }

  step(kind: string, holder: number, count: number, pick: number): void {
    const under = [...this.#underWay.keys()]
    const index = under[pick % Math.max(1, under.length)]
    if (kind === 'choose') this.#choose(holder, count)
    else if (kind === 'drop') {
      this.#plan.drop(holder)
      for (const open of this.#open()) {
        this.#left[open]!.delete(holder)
        this.#missIfHopeless(open)
      }
    } else if (kind === 'stolen') {
      const open = this.#open()[0]
      if (open !== undefined) this.#arrive(open)
    } else if (index === undefined) return
    else if (kind === 'arrived') this.#arrive(index)
    else this.#fail(index, kind === 'lacks')
    this.#compare()
  }

  end(): void {
    this.#plan.giveUp()
    for (const open of this.#open()) this.#over.set(open, 'missing')
    for (const index of [...this.#underWay.keys()]) this.#arrive(index)
    this.#compare()
    assert.equal(this.#plan.isOver, true)
    assert.equal(this.#plan.fetched + this.#plan.missing, this.#left.length)
  }

  #choose(holder: number, count: number): void {
    const expected = this.#open().filter((index) => this.#left[index]!.has(holder)).slice(0, count)
    assert.deepEqual([...this.#plan.choose(holder, count, all)], expected)
    for (const index of expected) this.#underWay.set(index, holder)
  }

  #arrive(index: number): void {
    assert.equal(this.#plan.arrived(index), true)
    assert.equal(this.#plan.arrived(index), false)
    this.#underWay.delete(index)
    this.#over.set(index, 'fetched')
  }

  #fail(index: number, isTried: boolean): void {
    const holder = this.#underWay.get(index)!
    this.#plan.failed(index, holder, isTried)
    this.#underWay.delete(index)
    if (isTried) this.#left[index]!.delete(holder)
    this.#missIfHopeless(index)
  }

  #missIfHopeless(index: number): void {
    if (this.#left[index]!.size === 0) this.#over.set(index, 'missing')
  }

  #open(): number[] {
    return this.#left.flatMap((_, index) => (this.#over.has(index) || this.#underWay.has(index) ? [] : [index]))
  }

  #compare(): void {
    const count = (how: string): number => [...this.#over.values()].filter((value) => value === how).length
    const { open, underWay, fetched, missing } = this.#plan
    assert.deepEqual([open, underWay, fetched, missing],
      [this.#open().length, this.#underWay.size, count('fetched'), count('missing')])
    for (let holder = 0; holder < 5; holder++) {
      assert.equal(this.#plan.openOf(holder), this.#open().filter((index) => this.#left[index]!.has(holder)).length)
    }
  }
}
