import assert from 'node:assert/strict'

import {
  destinationFailed, destinationGone, errorOf, fromOther, fromSource, notSaid, outOfTime, paused, reasonOf, restarted,
  sentenceOf, settled, silent, sourceEnded, sourceGone, torn, undecided, unexpectedMessage, unknownRunState,
} from '../../../src/conversation/reasons.ts'
import { PagemeshError } from '../../../src/runtime/errors.ts'

const ALL = [
  destinationFailed(undefined), destinationFailed('no room'), fromOther('no disk'), fromSource('cancelled'), notSaid(),
  paused(), restarted('The source kept the guest.'), settled(), silent('run'), silent('end'),
  sourceEnded('failed', undefined), sourceEnded('failed', 'Broken pipe'), torn(), unexpectedMessage('whole', 'listing'),
  unknownRunState(), undecided('Host a'), outOfTime(90_000), sourceGone('web'), destinationGone('web'),
]

describe('a reason', () => {
  it('is a code, whose fault it is, and a whole sentence', () => {
    for (const { code, fault, message } of ALL) {
      assert.match(code, /^[a-z]+(-[a-z]+)*$/)
      assert.ok(fault.length > 0)
      assert.ok(message.length > 5, message)
    }
    const own = ALL.filter(({ code }) => !code.startsWith('failed-at'))
    assert.deepEqual(own.filter(({ message }) => !/^[A-Z].*\.$/.test(message)), [])
  })

  it('has a name that stays the same, for whoever acts on it', () => {
    const codes = ALL.map(({ code, fault }) => `${code} ${fault}`)
    assert.deepEqual([...new Set(codes)], [
      'qemu-failed guest', 'failed-at-destination peer', 'failed-at-source peer', 'timeout guest',
      'postcopy-broken network', 'agent-restarted host', 'settled usage', 'guest-gone guest', 'bad-frame peer',
      'run-state-unknown host', 'undecided usage', 'timeout usage',
    ])
    assert.deepEqual([paused(), notSaid(), silent('run'), silent('end'), torn(), sourceGone('web')].map(({ code }) =>
      code), ['postcopy-broken', 'timeout', 'timeout', 'timeout', 'guest-gone', 'guest-gone'])
  })

  it('says which guest ended where, who may decide, and how long it took', () => {
    assert.match(sourceGone('web').message, /^The source QEMU of web ended\./)
    assert.match(destinationGone('web').message, /^The destination QEMU of web ended\./)
    assert.match(undecided('a').message, /^a is connected/)
    assert.match(outOfTime(90_000).message, /longer than 90 s\.$/)
  })

  it('becomes an error and comes back unchanged', () => {
    for (const reason of ALL) {
      const error = errorOf(reason)
      assert.ok(error instanceof PagemeshError)
      assert.equal(error.code, reason.code)
      assert.equal(error.message, reason.message)
      assert.equal(error.phase, 'handoff')
      assert.deepEqual(reasonOf(error), reason)
    }
  })

  it('is told to the other host with what to do about it', () => {
    assert.equal(sentenceOf(fromOther('no disk')), 'no disk')
    const { message, advice } = paused()
    assert.ok(advice?.startsWith('`pagemesh recover GUEST`'))
    assert.equal(sentenceOf(paused()), `${message} ${advice}`)
  })

  it('says what QEMU said', () => {
    const { message } = sourceEnded('failed', 'Broken pipe')
    assert.equal(message, 'The source QEMU says that the migration failed: Broken pipe.')
    assert.equal(destinationFailed('no room').message, 'The destination QEMU says that the migration failed: no room.')
    assert.equal(destinationFailed(undefined).message, 'The destination QEMU says that the migration failed.')
  })
})
