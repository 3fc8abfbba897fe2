import assert from 'node:assert/strict'

import { PagemeshError } from '../../../src/runtime/errors.ts'
import { encodeAnswer, requireAccepted } from '../../../src/transfer/offer.ts'

function json(value: unknown): Buffer {
  return Buffer.from(JSON.stringify(value))
}

describe('an answer to an offer', () => {
  it('accepts, or refuses with a code, a sentence and advice', () => {
    requireAccepted(encodeAnswer({ accepted: true }), 'b')
    const refusal = encodeAnswer(
      { accepted: false, code: 'no-waiting-guest', message: 'none waits.', advice: 'Start it.' },
    )
    assert.throws(() => requireAccepted(refusal, 'b'), (error) => error instanceof PagemeshError &&
      error.code === 'no-waiting-guest' && error.message === 'b refused the guest: none waits.' &&
      error.advice === 'Start it.' && error.fault === 'peer')
    const bare = encodeAnswer({ accepted: false, code: 'busy', message: 'busy.' })
    assert.throws(() => requireAccepted(bare, 'b'), { code: 'busy', advice: undefined })
  })

  it('carries nothing of a refusal but these, and no more than can be read', () => {
    const long = {
      accepted: false as const, code: 'busy', message: 'm'.repeat(9000), advice: 'a'.repeat(9000), fault: 'guest',
    }
    const said = JSON.parse(Buffer.from(encodeAnswer(long)).toString()) as Record<string, string>
    assert.deepEqual(Object.keys(said), ['accepted', 'code', 'message', 'advice'])
    assert.deepEqual([said['message']!.length, said['advice']!.length], [4000, 1000])
    assert.throws(() => requireAccepted(encodeAnswer(long), 'b'), { code: 'busy', advice: 'a'.repeat(1000) })
    const codes = { accepted: false, code: 'c'.repeat(64), message: 'm', advice: 'a'.repeat(1001) }
    assert.throws(() => requireAccepted(json(codes), 'b'), {
      code: 'refused-there', data: { code: codes.code }, advice: undefined,
    })
  })

  it('that is neither is refused', () => {
    const odd = [
      {}, { accepted: 1 }, { accepted: false }, { code: 'c' }, { code: '', message: 'm' }, { code: 'c', message: '' },
      { code: 'busy\n', message: 'm' }, { code: 'c\u001B[2J', message: 'm' }, { code: 'c'.repeat(65), message: 'm' },
      { code: 'c', message: 'm'.repeat(4001) },
    ]
    for (const answer of odd) assert.throws(() => requireAccepted(json(answer), 'b'), { code: 'bad-answer' })
    assert.throws(() => requireAccepted(Buffer.from('x'), 'b'), { code: 'bad-answer' })
  })
})
