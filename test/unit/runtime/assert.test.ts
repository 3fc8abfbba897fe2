import nodeAssert from 'node:assert/strict'

import { assert } from '../../../src/runtime/assert.ts'

describe('an assertion', () => {
  it('throws what it says where it does not hold, and only there', () => {
    assert(true, 'it holds')
    nodeAssert.throws(() => assert(false, 'it does not hold'), { name: 'AssertionError', message: 'it does not hold' })
  })
})
