import assert from 'node:assert/strict'

import { errorData, errorOfData } from '../../../../src/passage/worker/errordata.ts'
import { PagemeshError, systemErrorCode } from '../../../../src/runtime/errors.ts'

/** The error as it comes out of another thread. */
function across(thrown: unknown): PagemeshError {
  return errorOfData(structuredClone(errorData(thrown)))
}

describe('an error between threads', () => {
  it('comes with everything that is told of it', () => {
    const cause = Object.assign(new Error('no route'), { code: 'EHOSTUNREACH' })
    const error = new PagemeshError('lane-lost', 'It was lost.', {
      fault: 'network', phase: 'handoff', advice: 'Look.', data: { host: 'b', numbers: [1, 2] }, cause,
    })
    const came = across(error)
    for (const name of ['code', 'message', 'fault', 'phase', 'advice', 'data'] as const) {
      assert.deepEqual(came[name], error[name], name)
    }
    assert.ok(came.cause instanceof Error)
    assert.deepEqual([came.cause.message, systemErrorCode(came.cause)], ['no route', 'EHOSTUNREACH'])
  })

  it('comes without what it has not', () => {
    const came = across(new PagemeshError('bad-frame', 'Bad.', { fault: 'peer' }))
    assert.deepEqual([came.phase, came.advice, came.data, came.cause], [undefined, undefined, {}, undefined])
  })

  it('is one of ours, whatever was thrown', () => {
    const came = across(new RangeError('too far'))
    assert.deepEqual([came.code, came.fault, came.message], ['unexpected', 'host', 'too far'])
    assert.equal((across('words').cause as Error).message, 'words')
  })
})
