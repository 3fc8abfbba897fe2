import assert from 'node:assert/strict'

import {
  createPageHasher, ID_BYTES, PAGE_BYTES, PageBatch, verified, type PageSource,
} from '../../../src/page/index.ts'
import { page } from '../../support/madepages.ts'
import { madeEpoch, madeScopes, scopesOf } from '../../support/madescopes.ts'

describe('page keys by scope', () => {
  it('give each guest the key of its tenant, the shared one the key that all had before', () => {
    const scopes = scopesOf('blue', 'red')
    assert.deepEqual(scopes.tenants, ['blue', 'red', 'shared'])
    const [blue, red] = [scopes.of('blue-1')!, scopes.of('red-1')!]
    assert.equal(scopes.of('blue-2'), blue)
    assert.notDeepEqual(blue.hasher.pageKey, red.hasher.pageKey)
    assert.deepEqual(scopes.oldest.hasher.pageKey, madeEpoch().pageKeyOf('shared'))
    assert.equal(scopes.find({ tenant: 'green', epoch: scopes.epochs[0]! }), undefined)
  })

  it('know whose an unknown guest is only where there is one tenant', () => {
    assert.equal(scopesOf('blue', 'red').of(undefined), undefined)
    assert.equal(scopesOf('blue').of(undefined)?.tenant, 'blue')
    assert.equal(madeScopes().of(undefined)?.tenant, 'shared')
  })

  it('have two epochs at most, are told of each change, and keep the scopes that live', () => {
    const scopes = scopesOf('blue')
    const before = scopes.of('blue-1')!
    let changes = 0
    const unfollow = scopes.onChange(() => { changes += 1 })
    scopes.add(madeEpoch(2))
    scopes.add(madeEpoch(2))
    assert.equal(scopes.of('blue-1'), before, 'an epoch is used when it is told to be')
    assert.throws(() => scopes.add(madeEpoch(3)), /two epochs/)
    assert.throws(() => scopes.use(madeEpoch(3).id), /lives/)
    scopes.use(madeEpoch(2).id)
    scopes.use(madeEpoch(2).id)
    const after = scopes.of('blue-1')!
    assert.deepEqual([after.tenant, after.epoch], ['blue', madeEpoch(2).id])
    assert.deepEqual(scopes.epochs, [madeEpoch(2).id, madeEpoch(1).id])
    assert.ok(scopes.isLive(before) && scopes.isLive(after))
    assert.equal(scopes.all().length, 4)
    assert.throws(() => scopes.retire(madeEpoch(2).id), /in use/)
    scopes.retire(madeEpoch(1).id)
    assert.deepEqual([scopes.isLive(before), scopes.of('blue-1') === after], [false, true])
    assert.equal(changes, 3)
    unfollow()
    scopes.add(madeEpoch(3))
    assert.equal(changes, 3)
  })

  it('are made for public pages of any live epoch, also where no guest is public', () => {
    const scopes = scopesOf('blue')
    scopes.add(madeEpoch(2))
    for (const epoch of [madeEpoch(1), madeEpoch(2)]) {
      assert.deepEqual(scopes.publicHasher(epoch.id)!.pageKey, epoch.pageKeyOf('public'))
    }
    assert.equal(scopes.publicHasher(madeEpoch(3).id), undefined)
    assert.deepEqual(scopes.tenants, ['blue', 'shared'], 'nothing is kept of it')
  })

  it('are bounded', () => {
    assert.doesNotThrow(() => scopesOf(...Array.from({ length: 15 }, (_, index) => `t${index}`)))
    assert.throws(() => scopesOf(...Array.from({ length: 16 }, (_, index) => `t${index}`)), /16 tenants/)
  })
})

describe('a page of an unknown scope', () => {
  const scopes = scopesOf('blue', 'red')
  scopes.add(madeEpoch(2))
  const pages = [1, 2, 3, 4, 5, 6].map(page)
  const all = scopes.all()
  /** Each page's id, in turn under another scope; the last one's under a key that is not live. */
  const ids = new Uint8Array(pages.length * ID_BYTES)
  pages.forEach((bytes, index) => {
    const hasher = index === pages.length - 1 ? createPageHasher(new Uint8Array(32).fill(77)) : all[index]!.hasher
    hasher.hashPages(bytes, 0, 1, ids, index * ID_BYTES)
  })
  const source: PageSource = {
    kind: 'store',
    async fill(batch) {
      pages.forEach((bytes, index) => {
        bytes.copy(batch.bytes, index * PAGE_BYTES)
        batch.markFilled(index, 'store')
      })
    },
  }

  it('is right under whichever live scope made its id, and wrong under none', async () => {
    for (let time = 0; time < 3; time++) {
      const batch = new PageBatch(Uint8Array.from(ids))
      await verified(source, scopes.verifier).fill(batch, new AbortController().signal)
      assert.deepEqual(batch.missing(), [pages.length - 1])
    }
  })

  it('is found by its prefix alone, and gets its whole id', () => {
    const prefixes = Uint8Array.from(ids)
    for (let index = 0; index < pages.length; index++) prefixes.fill(0, index * ID_BYTES + 8, (index + 1) * ID_BYTES)
    const found = new Uint8Array(ids.length)
    const offsets = Uint32Array.from(pages, (_, index) => index * PAGE_BYTES)
    scopes.verifier.hashLike(Buffer.concat(pages), offsets, pages.length, prefixes, found)
    const known = (pages.length - 1) * ID_BYTES
    assert.deepEqual(found.subarray(0, known), ids.subarray(0, known))
    assert.notDeepEqual(found.subarray(known), ids.subarray(known))
  })

  it('has an owner, unless it is of no live scope', () => {
    const bytes = Buffer.concat(pages.toReversed())
    const offsets = Uint32Array.from(pages, (_, index) => (pages.length - 1 - index) * PAGE_BYTES)
    const owners = [...all.slice(0, pages.length - 1), undefined]
    for (let time = 0; time < 2; time++) {
      assert.deepEqual(scopes.ownersOf(bytes, offsets, pages.length, ids), owners)
      scopes.verifier.hashLike(bytes, offsets, pages.length, ids, new Uint8Array(ids.length))
    }
    assert.deepEqual(scopes.ownersOf(bytes, offsets, 0, ids), [])
  })

  it('is hashed once where it is of the scope that most were of', () => {
    const [first, likely] = [all[0]!, all[3]!]
    const count = 64
    const bytes = Buffer.concat(Array.from({ length: count }, (_, index) => page(index)))
    const offsets = Uint32Array.from({ length: count }, (_, index) => index * PAGE_BYTES)
    const wanted = new Uint8Array(count * ID_BYTES)
    likely.hasher.hashPages(bytes, 0, count, wanted, 0)
    const found = new Uint8Array(count * ID_BYTES)
    scopes.verifier.hashLike(bytes, offsets, count, wanted, found)
    const { hashScattered } = first.hasher
    let hashed = 0
    first.hasher.hashScattered = (...args) => {
      hashed += args[2]
      hashScattered(...args)
    }
    scopes.verifier.hashLike(bytes, offsets, count, wanted, found)
    first.hasher.hashScattered = hashScattered
    assert.equal(hashed, 0)
    assert.deepEqual(found, wanted)
  })
})
