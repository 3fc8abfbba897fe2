import assert from 'node:assert/strict'

import { deriveKeys } from '../../../src/mesh/index.ts'
import {
  decodeKeysAnswer, decodeKeysQuestion, encodeKeysAnswer, encodeKeysQuestion, keyProof, REMOVED_KEYS_MAX,
  type KeyChange,
} from '../../../src/rotation/wire.ts'
import { PagemeshError } from '../../../src/runtime/errors.ts'

const NONCE = new Uint8Array(32).fill(7)
const PROOF = new Uint8Array(32).fill(9)
const [ID, OTHER_ID] = ['0123456789abcdef', 'fedcba9876543210']
const bytesOf = (value: unknown): Uint8Array => Buffer.from(JSON.stringify(value))
const objectOf = (bytes: Uint8Array): Record<string, unknown> =>
  JSON.parse(Buffer.from(bytes).toString()) as Record<string, unknown>

describe('what hosts say of their keys', () => {
  it('reads as it was written', () => {
    const changes: (KeyChange | undefined)[] = [
      undefined, { do: 'install', key: new Uint8Array(32).fill(5) }, { do: 'use', id: ID }, { do: 'remove', id: ID },
    ]
    for (const change of changes) {
      const question = change === undefined ? { nonce: NONCE } : { nonce: NONCE, change }
      assert.deepEqual(decodeKeysQuestion(encodeKeysQuestion(question)), question)
    }
    const keys = [{ id: ID, proof: PROOF }, { id: OTHER_ID, proof: NONCE }]
    assert.deepEqual(decodeKeysAnswer(encodeKeysAnswer({ keys, removed: [ID] })), { keys, removed: [ID] })
  })

  it('tells why a step was refused, by its code, and by no code of a later version', () => {
    const refused = new PagemeshError('key-unready', 'Not yet.', { fault: 'usage', advice: 'Wait.' })
    const bytes = encodeKeysAnswer({ keys: [{ id: ID, proof: PROOF }], removed: [], refused })
    const { code, message, advice, fault } = decodeKeysAnswer(bytes).refused!
    assert.deepEqual({ code, message, advice, fault },
      { code: 'key-unready', message: 'Not yet.', advice: 'Wait.', fault: 'peer' })
    const later = bytesOf({ ...objectOf(bytes), refused: { code: 'key-later', message: 'No.' } })
    assert.equal(decodeKeysAnswer(later).refused?.code, 'refused-there')
  })

  it('names the keys that were removed last', () => {
    const removed = Array.from({ length: REMOVED_KEYS_MAX + 3 }, (_, index) => index.toString(16).padStart(16, '0'))
    assert.deepEqual(decodeKeysAnswer(encodeKeysAnswer({ keys: [{ id: ID, proof: PROOF }], removed })).removed,
      removed.slice(3))
  })

  it('is refused in another version, without a part, or with one that it cannot have', () => {
    const question = objectOf(encodeKeysQuestion({ nonce: NONCE, change: { do: 'use', id: ID } }))
    for (const part of [
      { version: 2 }, { version: undefined }, { nonce: 'ab' }, { nonce: 7 }, { do: 'burn' }, { do: 7 },
      { id: undefined }, { id: ID.toUpperCase() }, { id: `${ID}0` }, { do: 'install' }, { do: 'install', key: 'short' },
      { do: 'install', key: `${'A'.repeat(42)}B` },
    ]) {
      assert.throws(() => decodeKeysQuestion(bytesOf({ ...question, ...part })), { code: 'bad-question' },
        JSON.stringify(part))
    }
    const answer = objectOf(encodeKeysAnswer({ keys: [{ id: ID, proof: PROOF }], removed: [] }))
    const [key] = answer.keys as object[]
    for (const part of [
      { version: 2 }, { keys: undefined }, { keys: [] }, { keys: [key, key] }, { keys: [7] }, { keys: [null] },
      { keys: [{ ...key, id: 'x' }] }, { keys: [{ ...key, proof: 'ab' }] }, { keys: [{ id: ID }] },
      { keys: [key, { ...key, id: OTHER_ID }, { ...key, id: '0'.repeat(16) }] },
      { removed: undefined }, { removed: ['x'] }, { removed: Array(REMOVED_KEYS_MAX + 1).fill(ID) },
      { refused: null }, { refused: {} }, { refused: { code: 'busy' } }, { refused: { code: '', message: 'a' } },
      { refused: { code: 'busy', message: 'a'.repeat(1001) } },
    ]) {
      assert.throws(() => decodeKeysAnswer(bytesOf({ ...answer, ...part })), { code: 'bad-answer' },
        JSON.stringify(part))
    }
    for (const bytes of [new Uint8Array(), bytesOf(7), bytesOf([]), bytesOf(null), Buffer.from('{')]) {
      assert.throws(() => decodeKeysQuestion(bytes), { code: 'bad-question' })
      assert.throws(() => decodeKeysAnswer(bytes), { code: 'bad-answer' })
    }
  })

  it('is proved for one nonce, by one host to one other, and by one key', () => {
    const { memberKey } = deriveKeys(new Uint8Array(32).fill(1))
    const context = { nonce: NONCE, asker: 'a', answerer: 'b' }
    const proof = keyProof(memberKey, context)
    assert.equal(proof.length, 32)
    assert.deepEqual(keyProof(memberKey, context), proof)
    for (const other of [
      keyProof(deriveKeys(new Uint8Array(32)).memberKey, context),
      ...[
        { nonce: PROOF }, { asker: 'b', answerer: 'a' }, { asker: 'c' }, { answerer: 'c' },
        { asker: 'ab', answerer: '' },
      ].map((part) => keyProof(memberKey, { ...context, ...part })),
    ]) assert.notDeepEqual(other, proof)
  })
})
