import assert from 'node:assert/strict'

import { DIGEST_BYTES, ID_BYTES, PAGE_BYTES, PageColumns, PREFIX_BYTES, PrefixRun } from '../../../src/page/index.ts'

/** The pages that columns hold. */
function rowsOf({ count, high, low }: PrefixRun | PageColumns, numbers: ArrayLike<number>): number[][] {
  return Array.from({ length: count }, (_, i) => [high[i]!, low[i]!, numbers[i]!])
}

describe('the sizes that hosts agree on', () => {
  it('are those of every version so far', () => {
    assert.deepEqual([PAGE_BYTES, ID_BYTES, PREFIX_BYTES, DIGEST_BYTES], [4096, 16, 8, 32])
  })
})

describe('columns of a fixed size', () => {
  it('take pages until they are full, and anew when they were cleared', () => {
    const columns = new PageColumns(2)
    for (const value of [7, 8]) {
      assert.deepEqual([columns.count, columns.isFull], [0, false])
      columns.push(1, 2, value)
      assert.equal(columns.isFull, false)
      columns.push(0xffff_ffff, 4, 0xffff_ffff)
      assert.equal(columns.isFull, true)
      assert.deepEqual(rowsOf(columns, columns.values), [[1, 2, value], [0xffff_ffff, 4, 0xffff_ffff]])
      assert.throws(() => columns.push(5, 6, 7), /not filled past its end/)
      columns.clear()
    }
  })
})

describe('a run of pages', () => {
  it('keeps what it holds while it grows, from any size', () => {
    for (const expectedCount of [0, 1, 300, undefined]) {
      const run = new PrefixRun(expectedCount)
      const expected = Array.from({ length: 1000 }, (_, i) => [i, 0xffff_ffff - i, i % 0xffff])
      for (const [high, low, guests] of expected) run.push(high!, low!, guests!)
      assert.deepEqual(rowsOf(run, run.guests), expected)
    }
  })

  it('grows to twice its size, and keeps its room when it is cleared', () => {
    const run = new PrefixRun(300)
    assert.deepEqual([run.high.length, run.low.length, run.guests.length], [300, 300, 300])
    for (let i = 0; i < 301; i++) run.push(i, i, 1)
    assert.deepEqual([run.high.length, run.low.length, run.guests.length], [600, 600, 600])
    run.clear()
    assert.deepEqual([run.count, run.high.length], [0, 600])
    run.push(5, 6, 7)
    assert.deepEqual(rowsOf(run, run.guests), [[5, 6, 7]])
    assert.equal(new PrefixRun().high.length, 256)
    const tiny = new PrefixRun(1)
    tiny.push(1, 1, 1)
    tiny.push(2, 2, 1)
    assert.equal(tiny.high.length, 256)
  })
})
