import assert from 'node:assert/strict'

import { readOptionValue } from '../../../src/daemon/optionvalue.ts'
import { defaultOf, OPTIONS, type OptionInfo } from '../../../src/index.ts'

const bounded = OPTIONS.filter(({ kind }) => ['count', 'bytes', 'rate'].includes(kind))

/** A number as the file would have it for this kind. */
function written({ kind }: OptionInfo, value: number): unknown {
  return kind === 'rate' ? `${value}B/s` : value
}

describe('the default of an option', () => {
  for (const option of OPTIONS.filter((each) => each.default !== undefined)) {
    it(`${option.key} is a value of its kind`, () => {
      assert.deepEqual(readOptionValue(option, option.default), { value: defaultOf(option) })
    })
  }
})

describe('the bounds of an option', () => {
  it('are there for every number', () => {
    assert.ok(bounded.length > 5)
    for (const { key, min, max } of bounded) assert.ok(min !== undefined && max !== undefined && min < max, key)
  })

  for (const option of bounded) {
    const { key, min = 0, max = 0 } = option
    it(`of ${key} belong to it, and what is beyond does not`, () => {
      for (const value of [min, max]) assert.deepEqual(readOptionValue(option, written(option, value)), { value })
      for (const value of [min - 1, max + 1]) {
        const read = readOptionValue(option, written(option, value))
        assert.ok('expected' in read, `${value} was taken`)
        assert.match(read.expected, new RegExp(`from ${min} to ${max}`))
      }
    })
  }

  it('are zero and the largest whole number where the table has none', () => {
    const option: OptionInfo = { key: 'made.up', kind: 'count', about: 'for this test' }
    assert.deepEqual(readOptionValue(option, 0), { value: 0 })
    assert.deepEqual(readOptionValue(option, Number.MAX_SAFE_INTEGER), { value: Number.MAX_SAFE_INTEGER })
    for (const value of [-1, 2 ** 53, 1.5, NaN, Infinity, '5']) assert.ok('expected' in readOptionValue(option, value))
  })
})
