import assert from 'node:assert/strict'

import fc from 'fast-check'

import { ReportGroups } from '../../../../src/popularity/report/reportgroups.ts'
import { CHANGES_KEPT, Snapshot } from '../../../../src/popularity/report/snapshot.ts'
import { REST_LIMIT, SLICE_COUNT } from '../../../../src/popularity/slice.ts'
import { HeldList, listOf } from '../made.ts'

const SLICES = [0, 1, 800, SLICE_COUNT - 1]
const RESTS = [0, 5, 2 ** 32, 2 ** 51, REST_LIMIT - 1]
const signal = new AbortController().signal

const edits = fc.array(fc.record({
  slice: fc.constantFrom(...SLICES), rest: fc.constantFrom(...RESTS), guests: fc.integer({ min: 0, max: 2 }),
}), { maxLength: 8 })

type Pages = Map<number, number>

function pagesOf(snapshot: Snapshot, slice: number): Pages {
  const pages: Pages = new Map()
  snapshot.forEach(slice, (rest, guests) => { pages.set(rest, guests) })
  return pages
}

describe('what a host reports', () => {
  it('is what its census says, and against each of the last versions the difference', async () => {
    await fc.assert(fc.asyncProperty(fc.array(edits, { minLength: 1, maxLength: 8 }), async (rounds) => {
      const held = new HeldList()
      const snapshot = new Snapshot()
      const model = new Map(SLICES.map((slice) => [slice, new Map<number, number>()]))
      const versions = new Map([[1, SLICES.map(() => new Map<number, number>())]])
      for (const round of rounds) {
        for (const { slice, rest, guests } of round) {
          held.set(slice, rest, guests)
          if (guests === 0) model.get(slice)!.delete(rest)
          else model.get(slice)!.set(rest, guests)
        }
        const before = snapshot.version
        const changed = await snapshot.refresh(held, signal)
        assert.equal(snapshot.version, before + (changed.length > 0 ? 1 : 0))
        const now = SLICES.map((slice) => pagesOf(snapshot, slice))
        const sorted = (pages: Pages): [number, number][] => [...pages].sort(([a], [b]) => a - b)
        assert.deepEqual(now.map(sorted), SLICES.map((slice) => sorted(model.get(slice)!)))
        assert.deepEqual(changed, SLICES.filter((_, index) => {
          const old = versions.get(before)![index]!
          return old.size !== now[index]!.size || [...now[index]!].some(([rest, guests]) => old.get(rest) !== guests)
        }))
        versions.set(snapshot.version, now)
        assert.equal(snapshot.pages, now.reduce((sum, { size }) => sum + size, 0))
      }
      assert.ok(snapshot.version - snapshot.oldestBase <= CHANGES_KEPT)
      for (let base = snapshot.oldestBase; base <= snapshot.version; base++) {
        for (const [index, slice] of SLICES.entries()) {
          const groups = new ReportGroups()
          snapshot.addChanges(slice, base, groups)
          const [group] = listOf(groups)
          assert.ok((group?.pages.length ?? 0) <= snapshot.countChanges(slice, base))
          assert.equal(group?.isWhole ?? false, false)
          const made = new Map(versions.get(base)![index])
          for (const [rest, guests] of group?.pages ?? []) {
            if (guests === 0) made.delete(rest)
            else made.set(rest, guests)
          }
          assert.deepEqual(made, pagesOf(snapshot, slice))
        }
      }
    }), { numRuns: 60 })
  })

  it('is whole where it is told whole', async () => {
    const held = new HeldList()
    for (const rest of RESTS) held.set(9, rest, 2)
    const snapshot = new Snapshot()
    assert.deepEqual(await snapshot.refresh(held, signal), [9])
    const groups = new ReportGroups()
    snapshot.addWhole(8, groups)
    snapshot.addWhole(9, groups)
    assert.deepEqual(listOf(groups), [
      { slice: 8, isWhole: true, pages: [] }, { slice: 9, isWhole: true, pages: RESTS.map((rest) => [rest, 2]) },
    ])
  })

  it('never claims more guests than an owner would believe', async () => {
    const held = new HeldList()
    held.set(9, 1, 5000)
    const snapshot = new Snapshot()
    await snapshot.refresh(held, signal)
    assert.deepEqual([...pagesOf(snapshot, 9)], [[1, 1024]])
  })

  it('stays as it was when a refresh is broken off', async () => {
    const held = new HeldList()
    held.set(9, 1, 1)
    const snapshot = new Snapshot()
    await snapshot.refresh(held, signal)
    held.set(SLICE_COUNT - 1, 1, 1)
    await assert.rejects(snapshot.refresh(held, AbortSignal.abort(new Error('enough'))), /enough/)
    assert.deepEqual([snapshot.version, snapshot.pages], [2, 1])
    assert.deepEqual(await snapshot.refresh(held, signal), [SLICE_COUNT - 1])
  })
})
