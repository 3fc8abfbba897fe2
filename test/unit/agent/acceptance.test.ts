import assert from 'node:assert/strict'

import { requireAllowed, type AcceptRule } from '../../../src/agent/acceptance.ts'

const here = 'host-b'

function isAllowed(rules: AcceptRule[] | undefined, guest: string, from: string): boolean {
  try {
    requireAllowed(rules, { guest, from, here })
    return true
  } catch (error) {
    assert.equal((error as { code: string }).code, 'not-accepted')
    return false
  }
}

describe('which hosts may hand which guests to this one', () => {
  it('every member any guest without rules, nobody anything with none of them', () => {
    assert.ok(isAllowed(undefined, 'web-1', 'host-a'))
    assert.ok(!isAllowed([], 'web-1', 'host-a'))
  })

  it('is what one rule says of both, whole names by globs', () => {
    const rules = [{ guest: 'web-*', from: ['host-a', 'rack2-*'] }, { guest: 'db', from: ['host-c'] }]
    const allowed = [['web-1', 'host-a'], ['web-', 'rack2-7'], ['db', 'host-c']] as const
    const refused = [
      ['web-1', 'host-c'], ['db', 'host-a'], ['my-web-1', 'host-a'], ['web-1', 'host-ab'], ['web-1', 'xhost-a'],
      ['web', 'host-a'], ['db2', 'host-c'], ['', 'host-a'], ['web-1\n', 'host-c'],
    ] as const
    assert.deepEqual(allowed.filter(([guest, from]) => !isAllowed(rules, guest, from)), [])
    assert.deepEqual(refused.filter(([guest, from]) => isAllowed(rules, guest, from)), [])
  })

  it('tells who is refused the rule to add, and where', () => {
    assert.throws(() => requireAllowed([], { guest: 'web-1', from: 'host-a', here }), {
      code: 'not-accepted', fault: 'peer', message: 'no rule there lets host-a hand over web-1.',
      advice: 'To allow it, add `{guest: "web-1", from: [host-a]}` to `accept` in the configuration of host-b, and ' +
        'restart its agent.',
    })
  })
})
