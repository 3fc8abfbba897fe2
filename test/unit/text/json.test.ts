import assert from 'node:assert/strict'

import { parseJson, printableJson } from '../../../src/text/json.ts'

describe('a line of JSON', () => {
  it('changes no terminal, and is the same to whoever parses it', () => {
    const hostile = 'a\u001B[2J\u009B1A\r\n\u007F\u202Eb\u2028\u200B\u{E0041}\uD83D'
    const line = printableJson({ name: hostile })
    assert.doesNotMatch(line, /[\p{Cc}\u2028\u202E]/u)
    assert.deepEqual(JSON.parse(line), { name: hostile })
  })
})

describe('text that may be JSON', () => {
  it('is what it says, or nothing', () => {
    assert.deepEqual(['{"a": [1, null]}', '5', 'null', '"x"'].map(parseJson), [{ a: [1, null] }, 5, null, 'x'])
    assert.deepEqual(['', '{', 'undefined', '{"a": 1} x'].map(parseJson), Array(4).fill(undefined))
  })
})
