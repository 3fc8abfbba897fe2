import assert from 'node:assert/strict'

import { adviceOn } from '../../../src/rotation/advice.ts'
import { reportOf, type Answered, type RotationRequest } from '../../../src/rotation/report.ts'
import {
  cannotInstall, cannotRemove, cannotUse, leavesBehind, unreadyToInstall, unreadyToRemove, unreadyToUse,
  type MemberKeys,
} from '../../../src/rotation/rules.ts'
import { PagemeshError } from '../../../src/runtime/errors.ts'

const member = (host: string, ...ids: string[]): MemberKeys => ({ host, ids, removed: [] })
const SILENT: MemberKeys = { host: 'c', why: 'it is asleep' }

describe('a step of a rotation', () => {
  it('installs a key where there is room for it, and none that was removed before', () => {
    assert.equal(cannotInstall(['old'], 'new', []), undefined)
    assert.equal(cannotInstall(['old', 'new'], 'new', []), undefined)
    assert.equal(cannotInstall(['old'], 'old', []), undefined)
    const full = cannotInstall(['old', 'new'], 'third', [])
    assert.deepEqual([full?.code, full?.advice?.includes('pagemesh keys remove new')], ['keys-full', true])
    assert.equal(cannotInstall(['new'], 'old', ['old'])?.code, 'key-removed')
  })

  it('is not begun where a member has no room for the key, removed it, or does not answer', () => {
    assert.equal(unreadyToInstall([], 'new'), undefined)
    assert.equal(unreadyToInstall([member('b', 'old'), member('c', 'old', 'new')], 'new'), undefined)
    const refusal = unreadyToInstall([
      member('a', 'old'), member('b', 'old', 'third'), SILENT, { host: 'd', ids: ['other'], removed: ['new'] },
    ], 'new')
    assert.equal(refusal?.code, 'key-unready')
    assert.deepEqual(refusal.data, { hosts: ['b', 'c', 'd'] })
    assert.match(refusal.message, /: b has two already, old and third; c did not answer \(it is asleep\); d had it/)
  })

  it('uses a key that this host and every member has', () => {
    assert.equal(cannotUse(['old', 'new'], 'new'), undefined)
    assert.equal(cannotUse(['old'], 'new')?.code, 'key-unknown')
    assert.equal(unreadyToUse([member('b', 'old', 'new'), member('c', 'new', 'old')], 'new'), undefined)
    assert.deepEqual(unreadyToUse([member('b', 'old', 'new'), member('a', 'old')], 'new')?.data, { hosts: ['a'] })
    assert.deepEqual(unreadyToUse([SILENT], 'new')?.data, { hosts: ['c'] })
  })

  it('removes a key that neither this host nor any member uses, nor one that is away may need', () => {
    assert.equal(cannotRemove(['new', 'old'], 'old'), undefined)
    assert.equal(cannotRemove(['new'], 'old'), undefined)
    for (const own of [['old', 'new'], ['old']]) assert.equal(cannotRemove(own, 'old')?.code, 'key-in-use')
    assert.equal(unreadyToRemove([member('b', 'new', 'old'), member('c', 'new')], 'old', 'new'), undefined)
    assert.deepEqual(unreadyToRemove([member('b', 'old', 'new')], 'old', 'new')?.data, { hosts: ['b'] })
    assert.deepEqual(unreadyToRemove([member('b', 'third', 'new')], 'old', 'new')?.data, { hosts: ['b'] })
    assert.deepEqual(unreadyToRemove([SILENT], 'old', 'new')?.data, { hosts: ['c'] })
    assert.equal(leavesBehind([], 'old'), undefined)
    const behind = leavesBehind(['d', 'e'], 'old')
    assert.deepEqual([behind?.code, behind?.advice?.includes('--without d,e')], ['key-unready', true])
  })

  it('is complete once every member has answered and done it, and nobody is missing but who may be', () => {
    const answer = (host: string, ...ids: string[]): Answered => ({ host, ids, error: undefined })
    const complete = (request: RotationRequest, answers: Answered[], absent: string[] = []): boolean =>
      reportOf(request, 'new', { answers, absent }).complete
    const key = new Uint8Array(32)
    const install = { action: 'install', key } as const
    const [use, remove] = [{ action: 'use', id: 'new' }, { action: 'remove', id: 'new' }] as const
    assert.ok(complete(install, [answer('a', 'old', 'new'), answer('b', 'old', 'new')]))
    assert.ok(!complete(install, [answer('a', 'old', 'new'), answer('b', 'old')]))
    assert.ok(complete({ ...install, here: true }, [answer('a', 'old', 'new'), answer('b', 'old')], ['c']))
    assert.ok(complete(use, [answer('a', 'new', 'old')]))
    assert.ok(!complete(use, [answer('a', 'old', 'new')]))
    assert.ok(complete(remove, [answer('a', 'old')]))
    assert.ok(!complete(remove, [answer('a', 'old', 'new')]))
    assert.ok(!complete(use, [answer('a', 'new')], ['c']))
    assert.ok(complete({ ...use, without: ['c', 'd'] }, [answer('a', 'new')], ['c']))
    assert.ok(complete({ action: 'list' }, [answer('a', 'old')], ['c']))
    const error = new PagemeshError('busy', 'Busy.', { fault: 'usage', advice: 'Again.' })
    const silent = { host: 'b', ids: undefined, error }
    assert.ok(!complete({ action: 'list' }, [answer('a', 'old'), silent]))
    const { hosts } = reportOf({ action: 'list' }, null, { answers: [answer('a', 'old', 'new'), silent], absent: [] })
    assert.deepEqual(hosts, [
      { host: 'a', used: 'old', accepts: ['old', 'new'], why: null },
      { host: 'b', used: null, accepts: [], why: 'Busy. Again.' },
    ])
  })

  it('leaves nobody without a word: what to do stands in each host\'s own status', () => {
    const nothing = { lacks: [], strangers: [], isAlone: true }
    assert.equal(adviceOn(nothing), null)
    const alone = adviceOn({ ...nothing, strangers: ['a'] })
    assert.match(alone ?? '', /^No host accepts .*: a holds another one\. .*`pagemesh invite`/)
    const other = adviceOn({ ...nothing, strangers: ['d'], isAlone: false })
    assert.match(other ?? '', /^d holds another cluster key .*left it behind/)
    assert.match(adviceOn({ ...nothing, strangers: ['d', 'e'], isAlone: false }) ?? '', /^d, e hold .*left them/)
    assert.match(adviceOn({ ...nothing, lacks: ['new'] }) ?? '', /^Members have the cluster key new, .*install FILE/)
  })
})
