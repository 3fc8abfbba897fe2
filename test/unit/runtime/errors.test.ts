import assert from 'node:assert/strict'

import {
  asPagemeshError, describeError, ERROR_CODES, isErrorCode, PagemeshError, refusalOf, systemErrorCode,
} from '../../../src/runtime/errors.ts'

describe('an error', () => {
  const cause = new Error('below')
  const full = new PagemeshError('bad-offer', 'It broke.', {
    fault: 'peer', phase: 'offer', advice: 'Mend it.', data: { page: 5 }, cause,
  })
  const bare = new PagemeshError('unexpected', 'It broke.', { fault: 'host' })

  it('carries what its reader can use', () => {
    const { code, message, fault, phase, advice, data, name } = full
    assert.deepEqual({ code, message, fault, phase, advice, data, name }, {
      code: 'bad-offer', message: 'It broke.', fault: 'peer', phase: 'offer', advice: 'Mend it.', data: { page: 5 },
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

  it('that another host names has its code where this version knows it', () => {
    const details = { fault: 'peer', phase: 'offer' } as const
    const known = refusalOf({ code: 'busy', message: 'Too many.' }, details)
    assert.deepEqual([known.code, known.message, known.fault, known.data], ['busy', 'Too many.', 'peer', {}])
    for (const code of ['too-new', 'constructor', '']) {
      const { code: own, message, phase, data } = refusalOf({ code, message: 'It is new.' }, details)
      assert.deepEqual([own, message, phase, data], ['refused-there', 'It is new.', 'offer', { code }])
    }
    assert.ok(!isErrorCode(undefined))
  })

  it('has a code that says in a sentence what it means', () => {
    for (const [code, meaning] of Object.entries(ERROR_CODES)) {
      assert.match(code, /^[a-z]+(-[a-z]+)*$/)
      assert.match(meaning, /^[A-Z].*\w\.$/, code)
    }
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
