import assert from 'node:assert/strict'

import { BufferPool } from '../../../src/bytes/bufferpool.ts'

describe('a pool of buffers', () => {
  it('gives out what came back, whole even if only its beginning did, the last one first', () => {
    const pool = new BufferPool(64, 2)
    const [first, second] = [pool.take(), pool.take()]
    assert.deepEqual([first.length, second.length], [64, 64])
    assert.notEqual(first.buffer, second.buffer)
    first.fill(1)
    second.fill(2)
    pool.give(first.subarray(0, 10))
    pool.give(second)
    assert.deepEqual(pool.take(), Buffer.alloc(64, 2))
    assert.deepEqual(pool.take(), Buffer.alloc(64, 1))
    assert.deepEqual(pool.take(), Buffer.alloc(64))
  })

  it('keeps no more spares than it may', () => {
    const pool = new BufferPool(8, 1)
    const taken = [pool.take(), pool.take()]
    for (const buffer of taken) pool.give(buffer)
    assert.equal(pool.take().buffer, taken[0]!.buffer)
    assert.ok(!taken.map(({ buffer }) => buffer).includes(pool.take().buffer))
  })

  it('takes memory of the kind that it is told, such as shared memory', () => {
    const pool = new BufferPool(8, 1, (bytes) => new SharedArrayBuffer(bytes))
    const taken = pool.take()
    assert.ok(taken.buffer instanceof SharedArrayBuffer)
    pool.give(taken)
    assert.equal(pool.take().buffer, taken.buffer)
  })
})
