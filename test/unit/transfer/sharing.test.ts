import assert from 'node:assert/strict'

import {
  offeredPages, readAnsweredPages, readOfferedPages, shareAtDestination, shareAtSource,
} from '../../../src/transfer/sharing.ts'
import { scopesOf } from '../../support/madescopes.ts'

const EPOCH = '0000000000000001'
const known = (guest: string | undefined) => ({ guest, isPrivate: false })

describe('whose pages an offer speaks of', () => {
  it('is read with limits, and nothing is read of an agent that does not say it', () => {
    assert.equal(readOfferedPages(undefined), undefined)
    const offered = { tenant: 'blue', epochs: [EPOCH] }
    assert.deepEqual(readOfferedPages({ ...offered, more: 1 }), offered)
    assert.deepEqual(readOfferedPages({ epochs: [EPOCH] }), { epochs: [EPOCH] })
    for (const wrong of [
      null, 1, [], {}, { tenant: 'blue' }, { ...offered, tenant: 1 }, { ...offered, tenant: '' },
      { ...offered, tenant: 'x'.repeat(65) }, { ...offered, epochs: [EPOCH, EPOCH, EPOCH] },
      { ...offered, epochs: ['1'] }, { ...offered, epochs: [1] }, { ...offered, epochs: EPOCH },
    ]) assert.throws(() => readOfferedPages(wrong), { code: 'bad-offer' }, JSON.stringify(wrong))
  })

  it('is answered with a scope or a reason, both read with limits', () => {
    assert.equal(readAnsweredPages(undefined), undefined)
    assert.deepEqual(readAnsweredPages({ tenant: 'blue', epoch: EPOCH }), { tenant: 'blue', epoch: EPOCH })
    assert.deepEqual(readAnsweredPages({ apart: 'no' }), { apart: 'no' })
    for (const wrong of [
      null, 1, {}, { apart: '' }, { apart: 'x'.repeat(501) }, { tenant: 'blue' }, { tenant: 'blue', epoch: 'x' },
      { tenant: '', epoch: EPOCH },
    ]) assert.throws(() => readAnsweredPages(wrong), { code: 'bad-answer' }, JSON.stringify(wrong))
  })

  it('is agreed on by both ends, who then hash alike', () => {
    const scopes = scopesOf('blue', 'red')
    const own = scopes.of('blue-1')
    const offered = offeredPages(own, scopes)
    const there = shareAtDestination(scopes, known('blue-1'), offered)
    const here = shareAtSource(scopes, own, there.answer)
    assert.deepEqual([here.tenant, there.tenant, here.apart, there.apart], ['blue', 'blue', undefined, undefined])
    assert.deepEqual(here.hasher.pageKey, there.hasher.pageKey)
  })

  it('cannot be another tenant\'s, whatever the destination answers', () => {
    const scopes = scopesOf('blue', 'red')
    const own = scopes.of('blue-1')
    for (const answer of [{ tenant: 'red', epoch: EPOCH }, { tenant: 'blue', epoch: '00000000000000ff' }]) {
      assert.throws(() => shareAtSource(scopes, own, answer), { code: 'bad-answer' })
    }
  })

  it('is nobody\'s where the guest is not known and there are several tenants', () => {
    const [several, one] = [scopesOf('blue', 'red'), scopesOf('shared')]
    assert.match(shareAtDestination(several, known(undefined), offeredPages(undefined, several)).apart!, /not known/)
    assert.match(shareAtDestination(several, known('blue-1'), offeredPages(undefined, several)).apart!, /not known/)
    assert.equal(shareAtDestination(one, known(undefined), offeredPages(one.of(undefined), one)).tenant, 'shared')
  })

  it('is nobody\'s where the guest shares nothing at either end', () => {
    const scopes = scopesOf('shared')
    const own = scopes.of('web')
    for (const [scope, isPrivate] of [['private', true], ['private', false], [own, true]] as const) {
      const offered = readOfferedPages(offeredPages(scope, scopes))
      const there = shareAtDestination(scopes, { guest: 'web', isPrivate }, offered)
      const here = shareAtSource(scopes, scope, there.answer)
      assert.match(there.apart!, /shares nothing/)
      assert.equal(here.apart, there.apart)
      assert.deepEqual(here.hasher.pageKey, there.hasher.pageKey)
      assert.deepEqual([here.tenant, there.tenant], [undefined, undefined])
    }
    // With an agent of a version without tenants at the other end.
    assert.match(shareAtDestination(scopes, { guest: 'web', isPrivate: true }, undefined).apart!, /shares nothing/)
    assert.match(shareAtSource(scopes, 'private', undefined).apart!, /shares nothing/)
    assert.throws(() => shareAtSource(scopes, 'private', { tenant: 'shared', epoch: EPOCH }), { code: 'bad-answer' })
  })
})
