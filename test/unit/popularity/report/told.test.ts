import assert from 'node:assert/strict'

import { hostTag } from '../../../../src/popularity/owners.ts'
import { Told } from '../../../../src/popularity/report/told.ts'

const [A, B, C] = ['a', 'b', 'c'].map(hostTag) as [number, number, number]
const yes = (): boolean => true

describe('what owners were told', () => {
  it('is known by slice, and by version of the whole', () => {
    const told = new Told()
    assert.deepEqual([told.versionOf('a'), told.has(5, A)], [0, false])
    told.accept('a', 3, [5, 6], yes)
    told.accept('b', 4, [5], yes)
    told.accept('a', 5, [], yes)
    assert.deepEqual([told.versionOf('a'), told.versionOf('b')], [5, 4])
    assert.deepEqual([told.has(5, A), told.has(6, A), told.has(5, B), told.has(6, B), told.has(7, A)],
      [true, true, true, false, false])
  })

  it('is forgotten with the owner that left', () => {
    const told = new Told()
    told.accept('a', 3, [5], yes)
    told.accept('b', 3, [5], yes)
    told.forget('a')
    told.forget('nobody')
    assert.deepEqual([told.versionOf('a'), told.has(5, A), told.has(5, B)], [0, false, true])
  })

  it('is no longer had by who has lost the slice: it is told the whole when it comes back', () => {
    const told = new Told()
    told.accept('a', 3, [5, 6], yes)
    told.accept('b', 3, [5, 6], yes)
    told.retain(5, [B, C])
    assert.deepEqual([told.has(5, A), told.has(5, B), told.has(6, A)], [false, true, true])
    assert.equal(told.versionOf('a'), 3, 'of other slices it still knows')
    told.accept('c', 4, [5], yes)
    told.accept('a', 4, [5], yes)
    assert.deepEqual([told.has(5, A), told.has(5, B), told.has(5, C)], [true, true, true])
  })

  it('makes room by forgetting those who are no owners, when there are more than can be remembered', () => {
    const told = new Told()
    for (const name of ['a', 'b', 'c']) told.accept(name, 1, [5], yes)
    told.accept('d', 1, [5], (tag) => tag !== B)
    assert.deepEqual([A, B, C, hostTag('d')].map((tag) => told.has(5, tag)), [true, false, true, true])
  })
})
