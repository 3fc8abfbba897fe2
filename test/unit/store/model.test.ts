import assert from 'node:assert/strict'
import { mkdtempSync } from 'node:fs'
import { join } from 'node:path'

import fc from 'fast-check'

import type { PageKind, Store } from '../../../src/store/index.ts'
import {
  ask, keptBy, keyOf, madeClock, madeDirectory, madeStore, numbers, pagesOf, prefixesOf, prefixOf,
} from '../../support/madestore.ts'

const SLOTS = 24
/** Numbers of pages that come up. */
const NUMBERS = 60
const RANK: Record<PageKind, number> = { head: 0, tail: 1, departed: 2 }

type Kept = Map<number, { kind: PageKind; time: number }>
type Step =
  | { do: 'put'; pages: number[]; kind: PageKind }
  | { do: 'remove' | 'ask'; pages: number[] }
  | { do: 'restart' }

const some = fc.array(fc.nat(NUMBERS - 1), { minLength: 1, maxLength: 14 })
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 4, arbitrary: fc.record({
    do: fc.constant('put' as const), pages: some, kind: fc.constantFrom<PageKind>('head', 'tail', 'departed'),
  }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constantFrom('remove' as const, 'ask' as const), pages: some }) },
  { weight: 1, arbitrary: fc.constant<Step>({ do: 'restart' }) },
)

/** What the model says after a put; which of equally old pages gave way it takes from what is there. */
function expectPut(before: Kept, there: Kept, pages: readonly number[], kind: PageKind, time: number): Kept {
  const expected: Kept = new Map(before)
  const went = [...before].filter(([number]) => !there.has(number))
  for (const [number, { kind: wentKind }] of went) {
    assert.equal(wentKind, 'departed', `page ${number} gives way`)
    assert.notEqual(kind, 'departed', 'only to better ones')
    expected.delete(number)
  }
  const stayed = [...there].filter(([number, page]) => before.has(number) && page.kind === 'departed')
  for (const [, { time: wentTime }] of went) {
    for (const [number, page] of stayed) {
      if (!pages.includes(number)) assert.ok(wentTime <= page.time, 'the oldest give way')
    }
  }
  if (went.length > 0) assert.equal(there.size, SLOTS, 'pages give way only when the store is full')
  for (const number of pages) {
    const known = expected.get(number)
    if (known !== undefined) {
      expected.set(number, { kind: RANK[known.kind] <= RANK[kind] ? known.kind : kind, time })
    } else if (there.has(number)) expected.set(number, { kind, time })
    else {
      assert.equal(there.size, SLOTS, 'pages are refused only when the store is full')
      if (kind !== 'departed') assert.ok([...there.values()].every((page) => page.kind !== 'departed'))
    }
  }
  return expected
}

/** A store, what it should keep, and a clock that goes on with every step. */
class Beside {
  readonly #clock = madeClock()
  readonly #path: string
  #store: Store
  #model: Kept = new Map()

  constructor(path: string) {
    this.#path = path
    this.#store = this.#made()
  }

  async run(steps: readonly Step[]): Promise<void> {
    await this.#store.start()
    for (const next of steps) {
      this.#clock.pass(100)
      await this.#take(next)
      assert.deepEqual(this.#kept(), new Map([...this.#model].sort(([a], [b]) => a - b)))
      assert.ok(this.#store.bytes <= this.#store.bytesMax)
      for (const number of numbers(NUMBERS)) {
        assert.equal(this.#store.has(...prefixOf(number), 64), this.#model.has(number))
      }
    }
    await this.#ask(numbers(NUMBERS))
    assert.equal(this.#store.damagedPages, 0)
  }

  stop(): Promise<void> {
    return this.#store.stop()
  }

  async #take(next: Step): Promise<void> {
    if (next.do === 'put') await this.#put(next.pages, next.kind)
    else if (next.do === 'remove') await this.#remove(next.pages)
    else if (next.do === 'ask') await this.#ask(next.pages)
    else {
      await this.#store.stop()
      this.#store = this.#made()
      await this.#store.start()
    }
  }

  async #put(pages: readonly number[], kind: PageKind): Promise<void> {
    const counts = await this.#store.put(pagesOf(pages), kind)
    this.#model = expectPut(this.#model, this.#kept(), pages, kind, this.#clock.wallTime() / 1000)
    assert.equal(counts.stored + counts.known + counts.refused, pages.length)
    assert.equal(counts.refused, pages.filter((number) => !this.#model.has(number)).length)
  }

  async #remove(pages: readonly number[]): Promise<void> {
    const there = new Set(pages.filter((number) => this.#model.has(number)))
    assert.equal(await this.#store.remove(prefixesOf(pages)), there.size)
    for (const number of there) this.#model.delete(number)
  }

  async #ask(pages: readonly number[]): Promise<void> {
    const filled = pages.filter((number) => this.#model.has(number))
    assert.deepEqual(await ask(this.#store, pages), { filled, wrong: [] })
  }

  #made(): Store {
    return madeStore(this.#path, { slots: SLOTS, clock: this.#clock })
  }

  #kept(): Kept {
    const kept = keptBy(this.#store)
    assert.equal(kept.size, this.#store.pages)
    const known = numbers(NUMBERS).filter((number) => kept.has(keyOf(...prefixOf(number))))
    assert.equal(known.length, kept.size)
    return new Map(known.map((number) => [number, kept.get(keyOf(...prefixOf(number)))!]))
  }
}

describe('a store beside a map', function () {
  this.timeout(60_000)
  const parent = madeDirectory()

  it('keeps, renews, gives up and finds the same, restarts included', async () => {
    await fc.assert(fc.asyncProperty(fc.array(step, { maxLength: 30 }), async (steps) => {
      const beside = new Beside(mkdtempSync(join(parent, 'model-')))
      try {
        await beside.run(steps)
      } finally {
        await beside.stop()
      }
    }), { numRuns: 150 })
  })
})
