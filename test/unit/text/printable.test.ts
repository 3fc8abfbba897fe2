import assert from 'node:assert/strict'

import { escapeControls, printable } from '../../../src/text/printable.ts'

/** A name that clears a terminal, goes up a line, turns the writing around, hides, and ends in half a character. */
const HOSTILE = 'a\u001B[2J\u009B1A\r\n\u007F\u202Eb\u2028\u200B\u{E0041}\uD83D'
const HARMLESS = 'a\\u001b[2J\\u009b1A\\u000d\\u000a\\u007f\\u202eb\\u2028\\u200b\\udb40\\udc41\\ud83d'

describe('text of others', () => {
  it('has what would change a terminal escaped, and nothing else', () => {
    assert.equal(escapeControls(HOSTILE), HARMLESS)
    const kept = 'web-1 "ä" 日本 \\ <b> 😀 e\u0301'
    assert.equal(escapeControls(kept), kept)
  })

  it('is found wherever it is in a value', () => {
    const value = { [HOSTILE]: [HOSTILE, { deep: HOSTILE }], count: 5, none: null, is: true, absent: undefined }
    assert.deepEqual(printable(value), {
      [HARMLESS]: [HARMLESS, { deep: HARMLESS }], count: 5, none: null, is: true, absent: undefined,
    })
  })
})
