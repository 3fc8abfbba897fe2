import assert from 'node:assert/strict'

import fc from 'fast-check'

import { HOLDERS_MAX, PopularRun } from '../../../../src/popularity/popularrun.ts'
import { highOf, lowOf, REST_LIMIT, SLICE_COUNT } from '../../../../src/popularity/slice.ts'
import { View } from '../../../../src/popularity/view/view.ts'
import { pagesOf, ViewModel, type ModelPage } from './viewmodel.ts'

const nameOfTag = (tag: number): string | undefined => (tag % 7 === 0 ? undefined : `host-${tag}`)

interface RunPage {
  rest: number
  guests: number
  hosts: number
  holders?: readonly number[]
}

function runOf(pages: readonly RunPage[]): PopularRun {
  const run = new PopularRun(0)
  for (const { rest, guests, hosts, holders = [] } of pages) {
    const index = run.push(rest, guests, hosts)
    run.holders.set(holders, index * HOLDERS_MAX)
  }
  return run
}

/** Evenly spread pages, the same for the same numbers. */
function evenRun(count: number, hostsOf: (index: number) => number, holders = [1, 2, 3]): PopularRun {
  return runOf(Array.from({ length: count }, (_, index) => ({
    rest: Math.floor(((index + 0.5) / count) * (REST_LIMIT / 256)) * 256, guests: 2, hosts: hostsOf(index), holders,
  })))
}

function assertSame(view: View, model: ViewModel, slices: readonly number[], nearby: readonly number[]): void {
  assert.equal(view.pages, model.pages)
  assert.equal(view.floor, model.floor)
  const run = new PopularRun(0)
  for (const slice of slices) {
    view.readSlice(slice, run)
    assert.deepEqual(pagesOf(slice, run), model.slice(slice))
    for (const rest of [...nearby, 0, REST_LIMIT - 256]) {
      const page = model.get(slice, rest)
      assert.equal(view.guestsOf(highOf(slice, rest), lowOf(rest)), page?.guests ?? 0)
      assert.equal(view.hostsOf(highOf(slice, rest), lowOf(rest)), page?.hosts ?? 0)
    }
  }
  assertSamePages(view, model)
  for (const count of [0, 1, 7, model.pages, model.pages + 1]) {
    const { count: found, high, low, guests, hosts, holders } = view.top(count)
    const expected = model.top(count)
    assert.equal(found, expected.length)
    assert.deepEqual(expected.map((_, index) => [
      high[index], low[index], guests[index], hosts[index], holders[index],
    ]), expected.map(asTop))
  }
}

/** That all pages are visited, in order, each with its holders, and found by the first bits of its prefix. */
function assertSamePages(view: View, model: ViewModel): void {
  const visited: number[][] = []
  view.forEach((...page) => visited.push(page))
  const expected = Array.from({ length: SLICE_COUNT }, (_, slice) => model.slice(slice)).flat()
  assert.deepEqual(visited, expected.map(({ slice, rest, guests, hosts }) => [
    highOf(slice, rest), lowOf(rest), guests, hosts,
  ]))
  const high = Uint32Array.from(expected, ({ slice, rest }) => highOf(slice, rest))
  const low = Uint32Array.from(expected, ({ rest }) => lowOf(rest))
  for (const [index, page] of expected.entries()) {
    assert.deepEqual(view.holdersOf(high[index]!, low[index]!), asTop(page)[4])
  }
  const count = expected.length
  const whole = view.among({ high, low, count }, 64)
  assert.deepEqual(Array.from(whole.indices.subarray(0, whole.count)), Array.from(high.keys()))
  const cut = view.among({ high, low: low.map((half) => (half >>> 16) << 16), count }, 48)
  assert.equal(cut.count, count)
  for (let index = 0; index < count; index++) {
    assert.equal(cut.high[index], high[index])
    assert.equal(cut.low[index]! >>> 16, low[index]! >>> 16)
  }
  assert.equal(view.among({ high, low: low.map((half) => half ^ 0x80), count }, 64).count, 0)
}

function asTop({ slice, rest, guests, hosts, holders }: ModelPage): unknown[] {
  const names = holders.filter((tag) => tag !== 0).map(nameOfTag).filter((name) => name !== undefined)
  return [highOf(slice, rest), lowOf(rest), guests, hosts, names]
}

/** Few slices at the ends and next to each other, and few rests, so that changes meet what is there. */
const sliceNumbers = [0, 1, 2, 3, 64, 2047, 2048, SLICE_COUNT - 2, SLICE_COUNT - 1]
const rests = Array.from({ length: 48 }, (_, index) => Math.floor((index / 48) * REST_LIMIT) + 256 * index)

const pages = (hostsMin: number): fc.Arbitrary<PopularRun> => fc.uniqueArray(fc.record({
  rest: fc.constantFrom(...rests), guests: fc.constantFrom(1, 2, 3, 65_535),
  hosts: fc.integer({ min: hostsMin, max: 4 }),
  holders: fc.array(fc.constantFrom(0, 1, 2, 7, 0xffff_ffff), { maxLength: HOLDERS_MAX }),
}), { selector: ({ rest }) => rest, maxLength: 48 }).map((list) => runOf(list.sort((a, b) => a.rest - b.rest)))

const steps = fc.array(fc.oneof(
  fc.record({ step: fc.constant('replace' as const), slice: fc.constantFrom(...sliceNumbers), run: pages(1) }),
  fc.record({ step: fc.constant('apply' as const), slice: fc.constantFrom(...sliceNumbers), run: pages(0) }),
  fc.record({ step: fc.constant('drop' as const), slice: fc.constantFrom(...sliceNumbers) }),
  fc.record({ step: fc.constant('clear' as const), slice: fc.constant(0) }),
), { maxLength: 30 })

describe('the view of popular pages', () => {
  it('holds what a plain map holds, whatever happens to it and however full it is', () => {
    fc.assert(fc.property(fc.constantFrom(1, 20, 60, 150, 10_000), steps, (maxPages, list) => {
      const view = new View({ maxPages, nameOfTag })
      const model = new ViewModel({ maxPages })
      for (const step of list) {
        if (step.step === 'replace') view.replaceSlice(step.slice, step.run)
        if (step.step === 'replace') model.replace(step.slice, step.run)
        if (step.step === 'apply') view.applyChanges(step.slice, step.run)
        if (step.step === 'apply') model.apply(step.slice, step.run)
        if (step.step === 'drop') view.dropSlice(step.slice)
        if (step.step === 'drop') model.drop(step.slice)
        if (step.step === 'clear') view.clear()
        if (step.step === 'clear') model.clear()
        assert.ok(view.pages <= maxPages)
      }
      assertSame(view, model, [...sliceNumbers, 5], rests)
    }), { numRuns: 300 })
  })

  it('holds the same however many buckets it needs, on the way up and down', () => {
    const view = new View({ maxPages: 1_000_000, nameOfTag })
    const model = new ViewModel({ maxPages: 1_000_000 })
    const few = Array.from({ length: 16 }, (_, index) => index * 256 + (index % 3))
    let largest = 0
    for (const count of [10, 400, 2000, 1, 700, 100, 0]) {
      for (const slice of few) {
        const run = evenRun(count, (index) => 2 + ((index + slice) % 5), [slice, slice + 1])
        view.replaceSlice(slice, run)
        model.replace(slice, run)
      }
      largest = Math.max(largest, view.pages)
      const some = evenRun(40, (index) => index % 3, [9])
      view.applyChanges(few[7]!, some)
      model.apply(few[7]!, some)
      assertSame(view, model, [...few.slice(0, 9), SLICE_COUNT - 1], [some.rests[0]!, some.rests[5]!, 256])
    }
    assert.equal(largest, 32_000)
  }).timeout(60_000)

  it('is small while it is nearly empty, and takes under 24 bytes a page when it is not', () => {
    const view = new View({ maxPages: 1_000_000, nameOfTag })
    assert.ok(view.bytes < 20_000, `${view.bytes} bytes`)
    for (const [count, bytesMax] of [[3, 24], [60, 22], [4, 24]] as const) {
      for (let slice = 0; slice < SLICE_COUNT; slice++) view.replaceSlice(slice, evenRun(count, () => 2))
      const bytes = view.bytes / view.pages
      assert.ok(bytes <= bytesMax, `${bytes} bytes a page at ${view.pages} pages`)
    }
    view.clear()
    assert.ok(view.bytes < 20_000, `${view.bytes} bytes`)
  })

  it('finds pages whose rests are anything but evenly spread', () => {
    const view = new View({ maxPages: 100_000, nameOfTag })
    const chosen = [...new Set(Array.from({ length: 500 }, (_, index) => Math.floor(1.07 ** index)))]
      .filter((rest) => rest < REST_LIMIT)
    view.replaceSlice(9, runOf(chosen.map((rest, index) => ({ rest, guests: index, hosts: 2 }))))
    for (const [index, rest] of chosen.entries()) {
      assert.equal(view.guestsOf(highOf(9, rest), lowOf(rest)), index)
      if (!chosen.includes(rest + 1)) assert.equal(view.hostsOf(highOf(9, rest + 1), lowOf(rest + 1)), 0)
    }
  })

  it('takes halves of prefixes with or without a sign', () => {
    const view = new View({ maxPages: 100, nameOfTag })
    const rest = REST_LIMIT - 1
    view.replaceSlice(SLICE_COUNT - 1, runOf([{ rest, guests: 5, hosts: 3 }]))
    assert.equal(view.guestsOf(0xffff_ffff, 0xffff_ffff), 5)
    assert.equal(view.hostsOf(-1, -1), 3)
    assert.deepEqual([...view.top(1).high, ...view.top(1).low], [0xffff_ffff, 0xffff_ffff])
  })

  it('keeps the most popular when full, takes nothing below its floor, and takes all again when there is room', () => {
    const view = new View({ maxPages: 1000, nameOfTag })
    for (let slice = 0; slice < 10; slice++) view.replaceSlice(slice, evenRun(100, (index) => 3 + (index % 10)))
    assert.deepEqual([view.pages, view.floor], [1000, 0])
    view.replaceSlice(10, evenRun(60, () => 13))
    // The 60 with 13 hosts, then 100 each with 12, 11, ... hosts: 990 ends among those with 3, which lie at the same
    // place of ten slices: none of ten is better than the others.
    assert.deepEqual([view.pages, view.floor], [980, 3 * 2 ** 16 + 2])
    view.replaceSlice(11, evenRun(60, () => 2))
    assert.equal(view.pages, 980)
    view.applyChanges(11, evenRun(3, () => 5))
    assert.deepEqual([view.pages, view.takeRefusedPages()], [983, false])
    for (const slice of [0, 1]) view.dropSlice(slice)
    assert.equal(view.floor, 0)
    assert.deepEqual([view.takeRefusedPages(), view.takeRefusedPages()], [true, false])
    view.replaceSlice(11, evenRun(60, () => 2))
    assert.equal(view.hostsOf(highOf(11, evenRun(60, () => 2).rests[0]!), lowOf(evenRun(60, () => 2).rests[0]!)), 2)
  })

  it('keeps the same ties on every host, whichever came first', () => {
    const slices = Array.from({ length: 40 }, (_, index) => index * 100)
    const random = (index: number): number => (Math.imul(index + 1, 0x9e37_79b1) >>> 0) * 2 ** 20 + index
    const run = runOf(Array.from({ length: 100 }, (_, index) => random(index)).sort((a, b) => a - b)
      .map((rest) => ({ rest, guests: 2, hosts: 2 })))
    const views = [slices, slices.toReversed()].map((order) => {
      const view = new View({ maxPages: 3000, nameOfTag })
      for (const slice of [...order, ...order]) view.replaceSlice(slice, run)
      return view
    })
    const [first, second] = views.map((view) => view.top(3000))
    assert.ok(first!.count > 2000 && first!.count <= 3000, `${first!.count}`)
    assert.deepEqual(first, second)
  })

  it('has room for new holders when old ones are no longer named, and leaves out more than it can name', () => {
    const view = new View({ maxPages: 1_000_000, nameOfTag: (tag) => `host-${tag}` })
    let tag = 1
    const fresh = (): PopularRun => runOf(Array.from({ length: 2000 }, (_, index) =>
      ({ rest: index, guests: 1, hosts: 2, holders: [tag++, tag++, tag++] })))
    for (let round = 0; round < 40; round++) view.replaceSlice(round % 8, fresh())
    const run = new PopularRun(0)
    view.readSlice(7, run)
    assert.deepEqual([...run.holders.subarray(0, 3)], [tag - 6000, tag - 5999, tag - 5998])
    assert.deepEqual(view.top(1).holders[0]!.length, 3)
    for (let slice = 0; slice < 12; slice++) view.replaceSlice(slice, fresh())
    view.readSlice(0, run)
    assert.ok(run.holders[0]! > 0, 'what came first has its holders')
    view.readSlice(11, run)
    assert.equal(run.holders[5999], 0, 'what came last has none')
    assert.ok(view.bytes < 24_000 * 24 + 600_000)
  })
})
