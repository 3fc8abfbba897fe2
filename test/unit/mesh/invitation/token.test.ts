import assert from 'node:assert/strict'

import { decodeToken, encodeToken, markOf } from '../../../../src/mesh/invitation/token.ts'
import type { PagemeshError } from '../../../../src/runtime/errors.ts'
import { systemRandom } from '../../../../src/runtime/random.ts'
import { codeOf, mutated } from './mutations.ts'

const TOKEN = { id: '0f'.repeat(16), secret: new Uint8Array(32).fill(7), mark: new Uint8Array(16).fill(9) }

describe('the token of an invitation', () => {
  it('is one word without blanks, and reads as it was made', () => {
    const text = encodeToken(TOKEN)
    assert.match(text, /^pmjoin1-[A-Za-z0-9_-]{86}$/)
    assert.deepEqual(decodeToken(text), TOKEN)
  })

  it('is refused cut short, longer or of another kind, in words that do not repeat it', () => {
    const text = encodeToken(TOKEN)
    const others = ['', text.slice(1), text.slice(0, -1), `${text}A`, `${text}\n`, text.replace('pmjoin1', 'pmjoin2')]
    for (const other of others) {
      assert.throws(() => decodeToken(other), (error: PagemeshError) => {
        const { code, message, advice, data } = error
        assert.deepEqual([code, data], ['token-malformed', {}])
        return !`${message}${advice}`.includes(text.slice(20, 40))
      })
    }
  })

  it('is refused or read, whatever its bytes are, and nothing else comes of it', () => {
    const text = encodeToken(TOKEN)
    for (let round = 0; round < 3_000; round++) {
      const other = mutated(systemRandom, text)
      assert.ok([undefined, 'token-malformed'].includes(codeOf(() => decodeToken(other))), other)
    }
    // The last character has bits that mean nothing.
    assert.equal(codeOf(() => decodeToken(text.replace(/.$/, 'B'))), 'token-malformed')
  })

  it('has a mark by which a key is known, and which is no part of it', () => {
    const key = new Uint8Array(32).fill(1)
    const other = key.with(31, 2)
    assert.equal(markOf(key).length, 16)
    assert.deepEqual(markOf(key), markOf(key.slice()))
    assert.notDeepEqual(markOf(key), markOf(other))
  })
})
