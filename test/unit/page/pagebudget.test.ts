import assert from 'node:assert/strict'

import { PageBudget } from '../../../src/page/index.ts'

describe('memory for pages that handoffs share', () => {
  it('grants what is wanted, and at most half of what is left, so that one that comes later gets some', () => {
    const budget = new PageBudget(1001)
    assert.deepEqual([100, 1000, 1000, 1000].map((wanted) => budget.reserve(wanted)), [100, 450, 225, 113])
    assert.equal(budget.reserve(0), 0)
  })

  it('is free again when it is given back', () => {
    const budget = new PageBudget(100)
    assert.equal(budget.reserve(80), 50)
    budget.release(50)
    assert.equal(budget.reserve(80), 50)
  })

  it('has nothing left to grant at its end', () => {
    const budget = new PageBudget(1)
    assert.equal(budget.reserve(1), 0)
    assert.equal(new PageBudget(0).reserve(5), 0)
  })
})
