import assert from 'node:assert/strict'

import fc from 'fast-check'

import type { Answer, ReportHead } from '../../../../src/popularity/report/reportcodec.ts'
import { ReportTable } from '../../../../src/popularity/report/reporttable.ts'
import { REST_LIMIT, SLICE_COUNT } from '../../../../src/popularity/slice.ts'
import { groupsOf, type ReportedGroup } from '../made.ts'

const SLICES = [0, 1, 2, 77, SLICE_COUNT - 1]
const RESTS = [0, 1, 2 ** 32 - 1, 2 ** 32, 2 ** 40 + 7, REST_LIMIT - 1]

type Pages = Map<string, number>

/** What a table should do, as plainly as can be: a Map of pages an origin. */
class TableModel {
  readonly origins = new Map<string, { incarnation: number; number: number; pages: Pages }>()
  readonly #pagesMax: number

  constructor(pagesMax: number) {
    this.#pagesMax = pagesMax
  }

  get pages(): number {
    return [...this.origins.values()].reduce((sum, { pages }) => sum + pages.size, 0)
  }

  take(name: string, { incarnation, number, base }: ReportHead, groups: readonly ReportedGroup[]): Answer {
    const known = this.origins.get(name)
    const before = known?.incarnation === incarnation ? known : undefined
    if (before !== undefined && number < before.number) return 'refused'
    if (base > (before?.number ?? 0)) return 'need-whole'
    const pages: Pages = new Map(before?.pages)
    for (const { slice, isWhole, pages: reported } of groups) {
      if (isWhole) for (const key of [...pages.keys()]) if (key.startsWith(`${slice} `)) pages.delete(key)
      for (const [rest, guests] of reported) {
        pages.delete(`${slice} ${rest}`)
        if (guests > 0) pages.set(`${slice} ${rest}`, guests)
      }
    }
    if (this.pages - (known?.pages.size ?? 0) + pages.size > this.#pagesMax) return 'full'
    this.origins.set(name, { incarnation, number, pages })
    return 'accepted'
  }

  retain(isWanted: (slice: number) => boolean): void {
    for (const { pages } of this.origins.values()) {
      for (const key of [...pages.keys()]) if (!isWanted(Number(key.split(' ')[0]))) pages.delete(key)
    }
  }

  slice(slice: number): string[] {
    return [...this.origins].flatMap(([name, { pages }]) => [...pages]
      .filter(([key]) => key.startsWith(`${slice} `)).map(([key, guests]) => `${name} ${key} ${guests}`)).sort()
  }
}

function sliceOfTable(table: ReportTable, slice: number): string[] {
  const found: string[] = []
  table.forEach(slice, (origin, rest, guests) => { found.push(`${origin} ${slice} ${rest} ${guests}`) })
  return found.sort()
}

const group = (slice: number): fc.Arbitrary<ReportedGroup> => fc.boolean().chain((isWhole) => fc.record({
  slice: fc.constant(slice), isWhole: fc.constant(isWhole),
  pages: fc.uniqueArray(fc.tuple(fc.constantFrom(...RESTS), fc.integer({ min: isWhole ? 1 : 0, max: 3 })),
    { selector: ([rest]) => rest, maxLength: RESTS.length }).map((pages) => pages.sort(([a], [b]) => a - b)),
}))

const groups = fc.subarray(SLICES).chain((slices) => fc.tuple(...slices.map(group)))
const origin = fc.constantFrom('a', 'b', 'c')

const steps = fc.array(fc.oneof(
  { weight: 8, arbitrary: fc.record({
    step: fc.constant('take' as const), origin, groups, incarnation: fc.constantFrom(1, 1, 1, 2),
    number: fc.integer({ min: 1, max: 6 }), age: fc.nat(6),
  }) },
  { weight: 1, arbitrary: fc.record({ step: fc.constant('drop' as const), origin }) },
  { weight: 1, arbitrary: fc.record({ step: fc.constant('retain' as const), wanted: fc.subarray(SLICES) }) },
), { maxLength: 40 })

describe('the table of reports', () => {
  it('holds what plain maps hold, whatever is reported, repeated, stale, begun anew or dropped', () => {
    fc.assert(fc.property(steps, fc.constantFrom(10, 1000), (list, pagesMax) => {
      const table = new ReportTable({ pagesMax, hostCount: () => 2 })
      const model = new TableModel(pagesMax)
      const turnedAway = new Set<string>()
      for (const step of list) {
        if (step.step === 'take') {
          const head = { incarnation: step.incarnation, number: step.number, base: Math.max(0, step.number - step.age) }
          const answer = table.apply(step.origin, head, groupsOf(step.groups))
          assert.equal(answer, model.take(step.origin, head, step.groups))
          if (answer === 'full') turnedAway.add(step.origin)
          if (answer === 'accepted') turnedAway.delete(step.origin)
        } else if (step.step === 'drop') {
          const touched = SLICES.filter((slice) => model.slice(slice).some((page) => page.startsWith(step.origin)))
          assert.deepEqual(table.drop(step.origin), touched)
          model.origins.delete(step.origin)
          turnedAway.delete(step.origin)
        } else {
          table.retain((slice) => step.wanted.includes(slice))
          model.retain((slice) => step.wanted.includes(slice))
        }
        assert.ok(table.pages <= pagesMax)
        assert.equal(table.pages, model.pages)
        assert.equal(table.bytes, model.pages * 12)
        for (const slice of SLICES) assert.deepEqual(sliceOfTable(table, slice), model.slice(slice))
        for (const name of ['a', 'b', 'c']) {
          assert.equal(table.has(name), model.origins.has(name) || turnedAway.has(name))
        }
      }
    }), { numRuns: 400 })
  })

  it('counts a report once, however often it comes', () => {
    const table = new ReportTable({ pagesMax: 100, hostCount: () => 2 })
    const report = groupsOf([{ slice: 4, isWhole: true, pages: [[1, 2], [9, 1]] }])
    for (let times = 0; times < 5; times++) {
      assert.equal(table.apply('a', { incarnation: 1, number: 3, base: 0 }, report), 'accepted')
    }
    assert.deepEqual(sliceOfTable(table, 4), ['a 4 1 2', 'a 4 9 1'])
  })

  it('takes changes again that were taken already, and slices that stand whole beside them', () => {
    const table = new ReportTable({ pagesMax: 100, hostCount: () => 2 })
    table.apply('a', { incarnation: 1, number: 5, base: 0 }, groupsOf([{ slice: 4, isWhole: true, pages: [[1, 1]] }]))
    const changes: ReportedGroup = { slice: 4, isWhole: false, pages: [[1, 0], [2, 1]] }
    assert.equal(table.apply('a', { incarnation: 1, number: 6, base: 5 }, groupsOf([changes])), 'accepted')
    // The answer was lost, and meanwhile slice 7 became this owner's too.
    const both = groupsOf([changes, { slice: 7, isWhole: true, pages: [[3, 1]] }])
    assert.equal(table.apply('a', { incarnation: 1, number: 6, base: 5 }, both), 'accepted')
    assert.deepEqual(sliceOfTable(table, 4), ['a 4 2 1'])
    assert.deepEqual(sliceOfTable(table, 7), ['a 7 3 1'])
  })

  it('asks for the whole if an origin believes that it has told this host of other slices before', () => {
    const table = new ReportTable({ pagesMax: 100, hostCount: () => 2 })
    const some = groupsOf([{ slice: 7, isWhole: true, pages: [[3, 1]] }])
    assert.equal(table.apply('a', { incarnation: 1, number: 6, base: 5 }, some), 'need-whole')
    assert.equal(table.has('a'), false)
  })

  it('says full, and keeps what it had, when a report does not fit', () => {
    const table = new ReportTable({ pagesMax: 3, hostCount: () => 2 })
    const two: ReportedGroup = { slice: 1, isWhole: true, pages: [[1, 1], [2, 1]] }
    assert.equal(table.apply('a', { incarnation: 1, number: 1, base: 0 }, groupsOf([two])), 'accepted')
    assert.equal(table.apply('b', { incarnation: 1, number: 1, base: 0 }, groupsOf([two])), 'full')
    assert.deepEqual(sliceOfTable(table, 1), ['a 1 1 1', 'a 1 2 1'])
    assert.equal(table.has('b'), true, 'it has reported, and is not asked for it')
    assert.deepEqual(table.drop('a'), [1])
    assert.equal(table.apply('b', { incarnation: 1, number: 1, base: 0 }, groupsOf([two])), 'accepted')
  })

  it('leaves room for others, whatever one claims', () => {
    let hostCount = 2
    const table = new ReportTable({ pagesMax: 100, hostCount: () => hostCount })
    const pages = (count: number): ReportedGroup[] =>
      [{ slice: 1, isWhole: true, pages: Array.from({ length: count }, (_, rest) => [rest, 1] as const) }]
    const take = (name: string, count: number): Answer =>
      table.apply(name, { incarnation: 1, number: 1, base: 0 }, groupsOf(pages(count)))
    assert.equal(take('liar', 100), 'accepted', 'there is no other')
    hostCount = 3
    assert.equal(take('liar', 51), 'full')
    assert.equal(take('liar', 50), 'accepted')
    assert.equal(take('b', 50), 'accepted')
  })
})
