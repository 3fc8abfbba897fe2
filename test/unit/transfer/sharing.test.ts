import assert from 'node:assert/strict'

import {
  offeredPages, readAnsweredPages, readOfferedPages, shareAtDestination, shareAtSource,
} from '../../../src/transfer/sharing.ts'
import { madeEpoch, scopesOf } from '../../support/madescopes.ts'

const EPOCH = '0000000000000001'
const known = (guest: string | undefined) => ({ guest, isPrivate: false, hasPublic: false })

describe('whose pages an offer speaks of', () => {
  it('is read with limits, and nothing is read of an agent that does not say it', () => {
    assert.equal(readOfferedPages(undefined), undefined)
    const offered = { tenant: 'blue', epochs: [EPOCH] }
    assert.deepEqual(readOfferedPages({ ...offered, more: 1 }), offered)
    assert.deepEqual(readOfferedPages({ epochs: [EPOCH] }), { epochs: [EPOCH] })
    for (const odd of [1, 'yes', false]) assert.deepEqual(readOfferedPages({ ...offered, public: odd }), offered)
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
    const offered = offeredPages(own, scopes, false)
    const there = shareAtDestination(scopes, known('blue-1'), offered)
    const here = shareAtSource(scopes, own, there.answer)
    assert.deepEqual([here.tenant, there.tenant, here.apart, there.apart], ['blue', 'blue', undefined, undefined])
    assert.deepEqual(here.hasher.pageKey, there.hasher.pageKey)
  })

  it('is agreed on for public pages beside it, in the same epoch, where the destination has some', () => {
    const scopes = scopesOf('blue', 'public')
    const there = { guest: 'blue-1', isPrivate: false, hasPublic: true }
    const own = scopes.of('blue-1')!
    const offered = readOfferedPages(offeredPages(own, scopes, true))!
    assert.equal(offered.public, true)
    const answered = shareAtDestination(scopes, there, offered)
    assert.deepEqual(readAnsweredPages(answered.answer), { tenant: 'blue', epoch: EPOCH, public: true })
    const here = shareAtSource(scopes, own, answered.answer)
    const key = madeEpoch().pageKeyOf('public')
    assert.deepEqual([here.publicHasher!.pageKey, answered.publicHasher!.pageKey], [key, key])
    assert.deepEqual([here.tenant, answered.tenant], ['blue', 'blue'])
    assert.deepEqual(here.hasher.pageKey, own.hasher.pageKey)
    // The source need not have such guests.
    const blue = scopesOf('blue')
    assert.deepEqual(shareAtSource(blue, blue.of('blue-1'), answered.answer).publicHasher!.pageKey, key)
  })

  it('leaves public pages out where either end does not say it, or cannot verify them', () => {
    const scopes = scopesOf('blue', 'public')
    const own = scopes.of('blue-1')!
    const there = { guest: 'blue-1', isPrivate: false, hasPublic: true }
    const offered = offeredPages(own, scopes, true)
    const { public: _said, ...ofEarlierVersion } = offered
    const without = [
      shareAtDestination(scopes, there, ofEarlierVersion),
      shareAtDestination(scopes, there, offeredPages(own, scopes, false)),
      shareAtDestination(scopes, { ...there, hasPublic: false }, offered),
      shareAtDestination(scopesOf('blue'), there, offered),
    ]
    for (const { publicHasher, answer } of without) {
      assert.equal(publicHasher, undefined)
      assert.deepEqual(answer, { tenant: 'blue', epoch: EPOCH })
      assert.equal(shareAtSource(scopes, own, answer).publicHasher, undefined)
    }
  })

  it('leaves public pages out for a guest that shares nothing, is not known or is of another tenant there', () => {
    const scopes = scopesOf('blue', 'red', 'public')
    const there = { guest: 'blue-1', isPrivate: false, hasPublic: true }
    const own = scopes.of('blue-1')!
    const offered = offeredPages(own, scopes, true)
    assert.deepEqual(offeredPages('private', scopes, true), { isPrivate: true, epochs: scopes.epochs })
    assert.deepEqual(offeredPages(undefined, scopes, true), { epochs: scopes.epochs })
    for (const [about, said] of [
      [{ ...there, isPrivate: true }, offered], [there, { ...offered, isPrivate: true as const }],
      [{ ...there, guest: undefined }, offered], [{ ...there, guest: 'red-1' }, offered],
    ] as const) {
      const { publicHasher, apart, answer } = shareAtDestination(scopes, about, said)
      assert.equal(publicHasher, undefined)
      assert.equal(typeof apart, 'string')
      assert.equal(shareAtSource(scopes, own, answer).publicHasher, undefined)
    }
  })

  it('is one thing for public guests, whose own pages those are', () => {
    const scopes = scopesOf('blue', 'public')
    const own = scopes.of('public-1')!
    assert.equal(offeredPages(own, scopes, true).public, undefined)
    const there = { guest: 'public-1', isPrivate: false, hasPublic: true }
    const answered = shareAtDestination(scopes, there, { ...offeredPages(own, scopes, true), public: true })
    assert.deepEqual([answered.publicHasher, answered.tenant], [undefined, 'public'])
    assert.throws(() => shareAtSource(scopes, own, { tenant: 'public', epoch: EPOCH, public: true }), {
      code: 'bad-answer',
    })
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
    const offered = offeredPages(undefined, several, true)
    assert.match(shareAtDestination(several, known(undefined), offered).apart!, /not known/)
    assert.match(shareAtDestination(several, known('blue-1'), offered).apart!, /not known/)
    const ofOne = offeredPages(one.of(undefined), one, false)
    assert.equal(shareAtDestination(one, known(undefined), ofOne).tenant, 'shared')
  })

  it('is nobody\'s where the guest shares nothing at either end', () => {
    const scopes = scopesOf('shared')
    const own = scopes.of('web')
    for (const [scope, isPrivate] of [['private', true], ['private', false], [own, true]] as const) {
      const offered = readOfferedPages(offeredPages(scope, scopes, true))
      const there = shareAtDestination(scopes, { guest: 'web', isPrivate, hasPublic: true }, offered)
      const here = shareAtSource(scopes, scope, there.answer)
      assert.match(there.apart!, /shares nothing/)
      assert.equal(here.apart, there.apart)
      assert.deepEqual(here.hasher.pageKey, there.hasher.pageKey)
      assert.deepEqual([here.tenant, there.tenant], [undefined, undefined])
    }
    // With an agent of a version without tenants at the other end.
    const ofOldVersion = shareAtDestination(scopes, { guest: 'web', isPrivate: true, hasPublic: true }, undefined)
    assert.match(ofOldVersion.apart!, /shares nothing/)
    assert.match(shareAtSource(scopes, 'private', undefined).apart!, /shares nothing/)
    assert.throws(() => shareAtSource(scopes, 'private', { tenant: 'shared', epoch: EPOCH }), { code: 'bad-answer' })
  })
})
