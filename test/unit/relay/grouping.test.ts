import assert from 'node:assert/strict'

import { relayOf, urgentOf, type RunningRelay } from '../../../src/relay/grouping.ts'

const ONE: RunningRelay = { pid: 1, uuid: 'aa', isPostcopy: false }
const TWO: RunningRelay = { pid: 2, uuid: undefined, isPostcopy: true }
const OTHER = { kind: 'other' } as const

describe('to which migration a connection belongs', () => {
  it('is to none if it begins one, or goes on with one', () => {
    for (const kind of ['main', 'resumed'] as const) {
      assert.equal(relayOf([ONE, TWO], { beginning: { kind }, pid: 1 }), undefined)
    }
    assert.equal(relayOf([], { beginning: OTHER, pid: 1 }), undefined)
    assert.equal(relayOf([], { beginning: { kind: 'multifd', uuid: 'aa' }, pid: 1 }), undefined)
  })

  it('is told by the uuid of a multifd channel', () => {
    assert.equal(relayOf([ONE, TWO], { beginning: { kind: 'multifd', uuid: 'aa' }, pid: 2 }), ONE)
    assert.equal(relayOf([TWO, ONE], { beginning: { kind: 'multifd', uuid: 'bb' }, pid: 2 }), TWO)
    assert.equal(relayOf([TWO, ONE], { beginning: { kind: 'multifd', uuid: 'bb' }, pid: 3 }), TWO)
    assert.equal(relayOf([ONE], { beginning: { kind: 'multifd', uuid: 'bb' }, pid: 1 }), undefined)
  })

  it('is told by the process, or is the last that began', () => {
    assert.equal(relayOf([ONE, TWO], { beginning: OTHER, pid: 1 }), ONE)
    assert.equal(relayOf([ONE, TWO], { beginning: OTHER, pid: undefined }), TWO)
    assert.equal(relayOf([ONE, TWO], { beginning: OTHER, pid: 3 }), TWO)
    assert.equal(relayOf([{ ...ONE, pid: undefined }, TWO], { beginning: OTHER, pid: 3 })?.uuid, 'aa')
  })

  it('is clear at once in a post-copy of the same process', () => {
    assert.equal(urgentOf([ONE, TWO], 2), TWO)
    assert.equal(urgentOf([ONE, TWO], 1), undefined)
    assert.equal(urgentOf([ONE, { ...TWO, pid: undefined }], undefined), undefined)
  })
})
