import { strict as assert } from 'node:assert'

import {
  diskUnusable, expectsTls, postcopyRefused, postcopyUnserved, stillRuns,
} from '../../../src/guest/incomingerror.ts'
import type { GuestState } from '../../../src/guest/index.ts'
import { qmpError } from '../../../src/guest/qmperror.ts'
import {
  blockerRefusal, busyRefusal, cannotRun, ENDED, isLeftBehind, notLoaded, notWaiting, sourceSettingsRefusal,
  stateRefusal, TURNED_OFF,
} from '../../../src/guest/refusals.ts'
import type { PagemeshError } from '../../../src/runtime/errors.ts'

const STATES: GuestState[] = [
  'running', 'paused', 'inmigrate', 'postmigrate', 'finish-migrate', 'prelaunch', 'shutdown', 'suspended',
  'internal-error', 'io-error', 'guest-panicked', 'watchdog', 'debug', 'save-vm', 'restore-vm', 'colo',
]

/** What stays the same of an error for whoever handles it. */
function factsOf({ code, fault, phase, data }: PagemeshError): unknown[] {
  return [code, fault, phase, data]
}

describe('why a guest cannot move', () => {
  const AT_SOURCE = ['guest-not-movable', 'guest', 'preparing the source']

  it('is its state, but for those from which QEMU moves it', () => {
    const movable = (major: number, status = 'none') =>
      STATES.filter((state) => stateRefusal('vm', { state, status, major }) === undefined)
    const always = ['running', 'paused', 'prelaunch', 'shutdown', 'io-error', 'guest-panicked', 'watchdog']
    assert.deepEqual(movable(8), always)
    assert.deepEqual(movable(9), STATES.filter((state) => always.includes(state) || state === 'suspended'))
    for (const status of ['cancelled', 'failed']) {
      assert.deepEqual(movable(8, status), STATES.filter((state) => always.includes(state) || state === 'postmigrate'))
      assert.deepEqual(STATES.filter((state) => isLeftBehind(state, status)), ['postmigrate'])
    }
    assert.deepEqual(STATES.filter((state) => isLeftBehind(state, 'completed')), [])
    const refusal = stateRefusal('vm', { state: 'save-vm', status: 'none', major: 9 })!
    assert.deepEqual(factsOf(refusal), [...AT_SOURCE, { guest: 'vm', state: 'save-vm' }])
    assert.equal(refusal.message, 'Guest vm cannot move: its state is save-vm.')
  })

  it('is a setting that hides its pages, with the words that change it', () => {
    const refused = ['x-colo', 'rdma-pin-all', 'x-ignore-shared']
    for (const capability of refused) {
      const refusal = sourceSettingsRefusal('vm', new Map([['events', true], [capability, true]]), {})!
      assert.deepEqual(factsOf(refusal), [...AT_SOURCE, { guest: 'vm', capability }])
      assert.ok(refusal.advice!.endsWith(JSON.stringify({
        execute: 'migrate-set-capabilities', arguments: { capabilities: [{ capability, state: false }] },
      })))
    }
    const off = new Map(refused.map((name) => [name, false]))
    assert.equal(sourceSettingsRefusal('vm', off, { 'tls-creds': '' }), undefined)
    assert.equal(sourceSettingsRefusal('vm', new Map([['compress', true], ['multifd', true]]), {}), undefined)
    const tls = sourceSettingsRefusal('vm', off, { 'tls-creds': 'tls0' })!
    assert.deepEqual(factsOf(tls), [...AT_SOURCE, { guest: 'vm', credentials: 'tls0' }])
    assert.ok(tls.advice!.endsWith('{"execute":"migrate-set-parameters","arguments":{"tls-creds":""}}'))
  })

  it('is what QEMU says, or does already', () => {
    assert.deepEqual(factsOf(busyRefusal('vm', 'active')), [...AT_SOURCE, { guest: 'vm', status: 'active' }])
    const blocked = blockerRefusal('vm', ['no', 'never.'])
    assert.deepEqual(factsOf(blocked), [...AT_SOURCE, { guest: 'vm', blockers: ['no', 'never.'] }])
    assert.equal(blocked.message, 'Guest vm cannot move: QEMU says: no; never.')
  })

  it('is nothing that only says how QEMU would have sent it: that is turned off', () => {
    assert.deepEqual(TURNED_OFF, {
      'compress': false, 'background-snapshot': false, 'mapped-ram': false, 'zero-copy-send': false,
    })
  })
})

describe('why a guest cannot arrive, run or be ended', () => {
  const AT_DESTINATION = 'preparing the destination'

  it('is that it ended where it was', () => {
    assert.deepEqual(STATES.filter((state) => ENDED.has(state)), ['shutdown', 'internal-error', 'guest-panicked'])
  })

  it('is told with its facts', () => {
    const facts: [PagemeshError, unknown[]][] = [
      [notWaiting('vm', 'it runs', { state: 'running' }),
        ['no-waiting-guest', 'guest', AT_DESTINATION, { guest: 'vm', state: 'running' }]],
      [expectsTls('vm', 'tls0'), ['no-waiting-guest', 'guest', AT_DESTINATION, { guest: 'vm', credentials: 'tls0' }]],
      [diskUnusable('vm', 'The disk is in use.'), ['disk-unusable', 'host', AT_DESTINATION, { guest: 'vm' }]],
      [postcopyUnserved('vm', 'on b', { block: 'ram', backing: 'ext4' }),
        ['postcopy-impossible', 'host', AT_DESTINATION, { guest: 'vm', block: 'ram', backing: 'ext4' }]],
      [notLoaded('vm'), ['guest-not-loaded', 'guest', 'releasing the destination', { guest: 'vm' }]],
      [stillRuns('vm'), ['guest-runs', 'guest', 'ending a copy', { guest: 'vm' }]],
    ]
    for (const [error, expected] of facts) assert.deepEqual(factsOf(error), expected)
  })

  it('is told in QEMU\'s words with one full stop', () => {
    for (const words of ['it is locked', 'it is locked.']) {
      const cause = qmpError('/nowhere', 'x', 'GenericError', words)
      const refused = postcopyRefused('vm', 'on b', cause)
      assert.equal(refused.message, 'The QEMU of vm on b refuses post-copy: it is locked.')
      assert.deepEqual(factsOf(refused),
        ['postcopy-impossible', 'host', AT_DESTINATION, { guest: 'vm', words: 'it is locked' }])
      assert.equal(refused.cause, cause)
      const stuck = cannotRun('vm', words, cause)
      assert.equal(stuck.message, 'Guest vm is whole but cannot run: it is locked.')
      assert.deepEqual(factsOf(stuck), ['guest-cannot-run', 'guest', 'releasing the guest', { guest: 'vm', words }])
      assert.equal(stuck.cause, cause)
    }
  })
})
