import assert from 'node:assert/strict'

import { Blake3Hasher } from '@napi-rs/blake-hash'

import { createStreamDigest, DIGEST_BYTES } from '../../../src/page/index.ts'

describe('the digest of a stream', () => {
  const digest = createStreamDigest()
  const start = new Uint8Array(DIGEST_BYTES)
  const follow = (...batches: string[]): string => {
    let previous: Uint8Array = start
    for (const batch of batches) previous = digest.after(previous, Buffer.from(batch))
    return Buffer.from(previous).toString('hex')
  }

  it('is BLAKE3 of the digest before it and the bytes', () => {
    const expected = new Blake3Hasher().update(Buffer.concat([start, Buffer.from('one')])).digestBuffer()
    assert.deepEqual(Buffer.from(digest.after(start, Buffer.from('one'))), expected)
    assert.equal(digest.after(start, Buffer.from('two')).length, DIGEST_BYTES)
  })

  it('tells whether a batch is missing, another, twice there, or out of place', () => {
    const whole = follow('one', 'two', 'three')
    assert.equal(follow('one', 'two', 'three'), whole)
    const others = [['two', 'three'], ['one', 'three'], ['one', 'two', 'thre'], ['one', 'two', 'two', 'three'],
      ['two', 'one', 'three'], ['one', 'two']]
    for (const batches of others) assert.notEqual(follow(...batches), whole, batches.join())
  })
})
