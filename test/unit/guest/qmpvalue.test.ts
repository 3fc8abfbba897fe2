import { strict as assert } from 'node:assert'

import { asCount, asList, asRecord, asText } from '../../../src/guest/qmpvalue.ts'

describe('a value that QMP answered', () => {
  const values = [undefined, null, 'text', '', 5, 0, -1.5, NaN, Infinity, true, [], [1], {}, { a: 1 }]

  it('is what was asked for, or the empty value', () => {
    const kept = (read: (value: unknown) => unknown): unknown[] => values.filter((value) => read(value) === value)
    assert.deepEqual(kept(asRecord), [{}, { a: 1 }])
    assert.deepEqual(kept(asList), [[], [1]])
    assert.deepEqual(kept(asText), ['text', ''])
    assert.deepEqual(kept((value) => asCount(value)), [5, 0, -1.5])
    assert.deepEqual([asRecord([1]), asRecord(null), asList({ length: 1 }), asText(5)], [{}, {}, [], ''])
    assert.deepEqual([asCount('5'), asCount(NaN), asCount(undefined, -1), asCount(7, -1)], [0, 0, -1, 7])
  })
})
