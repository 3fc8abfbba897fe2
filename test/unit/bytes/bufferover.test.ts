import { strict as assert } from 'node:assert'

import { bufferOver } from '../../../src/bytes/bufferover.ts'

describe('bufferOver', () => {
  it('gives the same memory, from the same byte to the same byte', () => {
    const memory = Uint8Array.of(1, 2, 3, 4, 5)
    const view = bufferOver(memory.subarray(1, 4))
    assert.deepEqual([...view], [2, 3, 4])
    view[0] = 9
    assert.deepEqual([...memory], [1, 9, 3, 4, 5])
  })
})
