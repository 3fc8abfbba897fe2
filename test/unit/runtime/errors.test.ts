import assert from 'node:assert/strict'

import { asPagemeshError, describeError, PagemeshError, systemErrorCode } from '../../../src/runtime/errors.ts'

describe('an error', () => {
  const cause = new Error('below')
  const full = new PagemeshError('some-code', 'It broke.', {
    fault: 'peer', phase: 'offer', advice: 'Mend it.', data: { page: 5 }, cause,
  })
  const bare = new PagemeshError('bare', 'It broke.', { fault: 'host' })

  it('carries what its reader can use', () => {
    const { code, message, fault, phase, advice, data, name } = full
    assert.deepEqual({ code, message, fault, phase, advice, data, name }, {
      code: 'some-code', message: 'It broke.', fault: 'peer', phase: 'offer', advice: 'Mend it.', data: { page: 5 },
      name: 'PagemeshError',
    })
    assert.equal(full.cause, cause)
    assert.deepEqual([bare.phase, bare.advice, bare.data], [undefined, undefined, {}])
    assert.equal('cause' in bare, false)
  })

  it('is one line for people, with what to do next', () => {
    assert.equal(describeError(full), 'It broke. Mend it.')
    assert.equal(describeError(bare), 'It broke.')
    assert.equal(describeError(cause), 'below')
    assert.equal(describeError('a text'), 'a text')
    assert.equal(describeError(undefined), 'undefined')
  })

  it('of the system has a code', () => {
    assert.equal(systemErrorCode(Object.assign(new Error('x'), { code: 'ENOENT' })), 'ENOENT')
    for (const other of [cause, { code: 5 }, null, undefined, 'ENOENT']) assert.equal(systemErrorCode(other), undefined)
  })

  it('of ours stays as it is, and another becomes one of this host', () => {
    assert.equal(asPagemeshError(full), full)
    for (const [thrown, message] of [[cause, 'below'], ['a text', 'a text'], [null, 'null']] as const) {
      const error = asPagemeshError(thrown)
      assert.ok(error instanceof PagemeshError)
      assert.deepEqual([error.code, error.fault, error.message], ['unexpected', 'host', message])
      assert.equal(error.cause, thrown)
    }
  })
})
