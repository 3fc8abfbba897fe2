/** Deliberately damaged messages of a rotation of the cluster key: decoded to values within bounds, or refused. */
import assert from 'node:assert/strict'
import fc from 'fast-check'

import {
  decodeKeysAnswer, decodeKeysQuestion, encodeKeysAnswer, encodeKeysQuestion, REMOVED_KEYS_MAX,
} from '../../src/rotation/wire.ts'
import { PagemeshError } from '../../src/runtime/errors.ts'
import { unlessRefused } from './refused.ts'

const RUNS = 3000
const NONCE = new Uint8Array(32).fill(7)
const ID = '0123456789abcdef'
const FORM = /^[0-9a-f]{16}$/

function damaged(messages: readonly Uint8Array[]): fc.Arbitrary<Buffer> {
  const wound = fc.record({
    at: fc.double({ min: 0, max: 1, noNaN: true }), removed: fc.nat(12), added: fc.string({ maxLength: 8 }),
  })
  const changed = fc.tuple(fc.constantFrom(...messages), fc.array(wound, { maxLength: 3 })).map(([message, wounds]) =>
    wounds.reduce((before, { at, removed, added }) => {
      const from = Math.floor(at * before.length)
      return Buffer.concat([before.subarray(0, from), Buffer.from(added), before.subarray(from + removed)])
    }, Buffer.from(message)))
  // Fields of every kind, by their right names.
  const named = fc.record({
    version: fc.constantFrom(1, 2), nonce: fc.constantFrom('07'.repeat(32), ''), do: fc.jsonValue(), id: fc.jsonValue(),
    key: fc.jsonValue(), keys: fc.jsonValue(), removed: fc.jsonValue(), refused: fc.jsonValue(),
  }, { requiredKeys: [] }).map((value) => Buffer.from(JSON.stringify(value)))
  return fc.oneof(changed, named, fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)))
}

describe('damaged messages about cluster keys', () => {
  it('of who asks are steps of a rotation, or refused', () => {
    const messages = [
      encodeKeysQuestion({ nonce: NONCE }), encodeKeysQuestion({ nonce: NONCE, change: { do: 'use', id: ID } }),
      encodeKeysQuestion({ nonce: NONCE, change: { do: 'install', key: NONCE } }),
    ]
    fc.assert(fc.property(damaged(messages), (bytes) => {
      const question = unlessRefused('bad-question', () => decodeKeysQuestion(bytes))
      if (question === undefined) return
      const { nonce, change } = question
      assert.equal(nonce.length, 32)
      if (change?.do === 'install') assert.equal(change.key.length, 32)
      else if (change !== undefined) assert.match(change.id, FORM)
    }), { numRuns: RUNS })
  })

  it('of who answers name few keys, or are refused', () => {
    const refused = new PagemeshError('busy', 'Busy.', { fault: 'usage', advice: 'Again.' })
    const [key, other] = [{ id: ID, proof: NONCE }, { id: ID.replace('0', '1'), proof: NONCE }]
    const messages = [
      encodeKeysAnswer({ keys: [key], removed: [ID] }),
      encodeKeysAnswer({ keys: [key, other], removed: [], refused }),
    ]
    fc.assert(fc.property(damaged(messages), (bytes) => {
      const answer = unlessRefused('bad-answer', () => decodeKeysAnswer(bytes))
      if (answer === undefined) return
      assert.ok(answer.keys.length >= 1 && answer.keys.length <= 2 && answer.removed.length <= REMOVED_KEYS_MAX)
      for (const { id, proof } of answer.keys) assert.ok(FORM.test(id) && proof.length === 32)
      for (const id of answer.removed) assert.match(id, FORM)
      assert.ok((answer.refused?.message.length ?? 1) <= 1000)
    }), { numRuns: RUNS })
  })
})
