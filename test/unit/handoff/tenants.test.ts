import assert from 'node:assert/strict'

import { createPageHasher, PageScopes, type ListedPages } from '../../../src/page/index.ts'
import type { PeerPages } from '../../../src/swap/index.ts'
import { Ends, type EndsOptions } from '../../support/bothends.ts'
import { hasher, idOf, page, sourceWith } from '../../support/madepages.ts'
import { madeEpoch, madeScopes } from '../../support/madescopes.ts'
import { until } from '../../support/passagerelay.ts'
import { publicSetOf, publicSourceWith } from '../../support/publicpages.ts'
import { sortedTable } from '../../support/sortedtables.ts'
import { precopyStream } from '../../support/streambuilder.ts'

const PAGES = [1, 2, 3, 4].map(page)
const STREAM = Buffer.from(precopyStream([{ name: 'pc.ram', pages: PAGES }]).bytes)

/** Page keys of a host that takes `web` for a guest of this tenant. */
function scopesFor(tenant: string, epoch = madeEpoch(1, hasher.pageKey)): PageScopes {
  return new PageScopes({ epoch, tenants: [tenant], tenantOf: () => tenant })
}

/** The guest's pages under the key of the shared tenant. */
function census(): ListedPages {
  const table = sortedTable(PAGES.map((bytes, number) => {
    const id = idOf(bytes)
    return [id.readUInt32BE(0), id.readUInt32BE(4), number] as const
  }))
  return { table, numberAt: (index) => table.valueAt(index) }
}

interface Moved {
  ends: Ends
  /** What the destination was asked for, by tenant. */
  asked: string[]
  result: Awaited<Awaited<ReturnType<Ends['move']>>['result']>
}

/** Moves a guest to a host that has all its pages; both QEMUs' bytes are compared. */
async function move(options: EndsOptions, isPrivate = { here: false, there: false }): Promise<Moved> {
  const asked: string[] = []
  const here = new Set(PAGES.map((bytes) => idOf(bytes).readUInt32BE(0)))
  const ends = new Ends({
    ...options, sources: [sourceWith(PAGES)],
    outgoing: isPrivate.here ? { census: undefined, scope: 'private' } : { census: census() },
    incoming: {
      isPrivate: () => isPrivate.there,
      has: (high, _low, _bits, tenant) => {
        asked.push(tenant)
        return here.has(high)
      },
    },
  })
  const { result } = await ends.move()
  await ends.send(STREAM)
  ends.destination.become('completed')
  await until(() => ends.incoming.state.at === 'loaded')
  ends.source.become('completed')
  return { ends, asked, result: await result }
}

describe('a handoff between two hosts that name a guest\'s tenant', () => {
  it('refers to what the destination has where both name the same', async () => {
    const { result, asked, ends } = await move({})
    assert.equal(result.pages.ref, PAGES.length)
    assert.ok(result.digestMatched)
    assert.equal(result.apart, undefined)
    assert.deepEqual([...new Set(asked)], ['shared'])
    assert.deepEqual(ends.offers[0]!.pages, { tenant: 'shared', public: true, epochs: [madeEpoch().id] })
  })

  it('refers to nothing where they do not, says why, and moves the guest', async () => {
    const { result, asked, ends } = await move({ scopes: { a: scopesFor('shared'), b: scopesFor('blue') } })
    assert.equal(result.status, 'completed')
    assert.deepEqual(result.pages, { total: 4, zero: 0, ref: 0, literal: 4 })
    assert.ok(result.digestMatched)
    assert.equal(result.apart, 'the guest is of tenant shared at the source, and of tenant blue at the destination')
    assert.deepEqual(asked, [], 'the destination is not even asked')
    const warnings = ends.logged.filter(({ message }) => message === 'a guest moves without references')
    assert.equal(warnings.length, 2, 'at both ends')
  })

  it('refers to nothing where the guest shares nothing at either end', async () => {
    for (const ends of [{ here: true, there: true }, { here: false, there: true }, { here: true, there: false }]) {
      const { result, asked } = await move({}, ends)
      assert.deepEqual([result.pages.ref, result.status, asked], [0, 'completed', []])
      assert.ok(result.digestMatched)
      assert.match(result.apart!, /shares nothing/)
    }
  })

  it('moves a guest of the shared tenant from and to an agent of a version without tenants as before', async () => {
    const { result } = await move({ isOld: true })
    assert.equal(result.pages.ref, PAGES.length)
    assert.equal(result.apart, undefined)
  })

  it('refers to nothing where such an agent cannot know the tenant', async () => {
    for (const [a, b] of [['blue', 'blue'], ['blue', 'shared'], ['shared', 'blue']] as const) {
      const { result, asked } = await move({ isOld: true, scopes: { a: scopesFor(a), b: scopesFor(b) } })
      assert.equal(result.status, 'completed')
      assert.equal(result.pages.ref, 0)
      assert.ok(result.digestMatched)
      if (b === 'blue') assert.deepEqual(asked, [])
    }
  })

  it('takes the first of the source\'s key epochs that the destination has', async () => {
    const old = madeEpoch(1, hasher.pageKey)
    const next = madeEpoch(2)
    const [a, b] = [madeScopes(hasher.pageKey), madeScopes(hasher.pageKey)]
    a.add(next)
    b.add(next)
    // The destination still hashes its own guests in the old one.
    b.use(next.id)
    b.use(old.id)
    assert.equal((await move({ scopes: { a, b } })).result.pages.ref, PAGES.length)
    a.use(next.id)
    const lone = madeScopes(hasher.pageKey)
    const { result } = await move({ scopes: { a, b: lone } })
    assert.equal(result.pages.ref, 0)
    assert.equal(result.apart, 'the destination does not have the newest cluster key yet')
    const strange = scopesFor('shared', madeEpoch(3))
    const without = await move({ scopes: { a: lone, b: strange } })
    assert.equal(without.result.apart, 'the two hosts have no cluster key in common')
    assert.ok(without.result.digestMatched)
  })
})

describe('a handoff to a host that has public pages', () => {
  const epoch = madeEpoch(1, hasher.pageKey)
  /** `web` is of this tenant, and other guests are public. */
  const withPublic = (tenant = 'shared'): PageScopes =>
    new PageScopes({ epoch, tenants: [tenant, 'public'], tenantOf: () => tenant })
  const publicHasher = createPageHasher(epoch.pageKeyOf('public'))
  const HERE = PAGES.slice(0, 3)
  const publicPages = { areThere: true, list: () => publicSetOf(HERE, publicHasher) }

  async function movePublic(options: EndsOptions, init: { isPrivate?: boolean; lists?: boolean } = {}) {
    const source = publicSourceWith(HERE, publicHasher)
    const { isPrivate = false, lists = true } = init
    const ends = new Ends({
      scopes: { a: withPublic(), b: withPublic() }, publicPages, sources: [source], ...options,
      outgoing: { census: lists ? census() : undefined, ...(isPrivate ? { census: undefined, scope: 'private' } : {}) },
    })
    const { result } = await ends.move()
    await ends.send(STREAM)
    ends.destination.become('completed')
    await until(() => ends.incoming.state.at === 'loaded')
    ends.source.become('completed')
    return { ends, source, result: await result }
  }

  it('refers to them, whichever tenant the guest is of', async () => {
    for (const tenant of ['shared', 'blue']) {
      const { result } = await movePublic({ scopes: { a: withPublic(tenant), b: withPublic(tenant) } })
      assert.deepEqual(result.pages, { total: 4, zero: 0, ref: 3, literal: 1 }, tenant)
      assert.deepEqual([result.refsFilledBy.resident, result.refsFilledBy.source], [3, 0])
      assert.ok(result.digestMatched)
      assert.equal(result.apart, undefined)
    }
  })

  it('refers to them from a host that has no public guests', async () => {
    const { result } = await movePublic({ scopes: { a: scopesFor('shared'), b: withPublic() } })
    assert.equal(result.pages.ref, 3)
  })

  it('asks third hosts for pages of its own tenant alone: nobody is told which public pages it holds', async () => {
    const asked: number[] = []
    // They have all that anybody asks for.
    const peers: PeerPages = {
      among: (prefixes) => ({ ...prefixes, indices: Uint32Array.from({ length: prefixes.count }, (_, i) => i) }),
      fetch: async ({ count, high }) => { asked.push(...high.subarray(0, count)) },
      receivedBytes: 0,
    }
    const some = { ...publicPages, list: () => publicSetOf(HERE.slice(0, 2), publicHasher) }
    const { result } = await movePublic({ peers, publicPages: some })
    assert.equal(result.pages.ref, 2)
    assert.deepEqual(new Set(asked), new Set(PAGES.map((bytes) => idOf(bytes).readUInt32BE(0))))
  })

  it('does not where an end does not ask for it: of an earlier version, or without pages to speak of', async () => {
    for (const [options, init] of [
      [{ speaks: 'tenants' }, {}], [{ isOld: true }, {}], [{}, { lists: false }],
      [{ publicPages: { ...publicPages, areThere: false } }, {}],
      [{ scopes: { a: withPublic(), b: scopesFor('shared') } }, {}],
    ] as const) {
      const { result, source } = await movePublic(options, init)
      assert.deepEqual([result.pages.ref, result.status, source.asked], [0, 'completed', 0], JSON.stringify(options))
      assert.ok(result.digestMatched)
    }
  })

  it('does not for a guest that shares nothing, nor where the ends differ on its tenant or its key', async () => {
    const [a, b] = [withPublic(), withPublic()]
    a.add(madeEpoch(2))
    a.use(madeEpoch(2).id)
    for (const [options, init] of [
      [{}, { isPrivate: true }], [{ scopes: { a: withPublic('blue'), b: withPublic() } }, {}],
      [{ scopes: { a, b } }, {}],
    ] as const) {
      const { result, source } = await movePublic(options, init)
      assert.deepEqual([result.pages.ref, result.status, source.asked], [0, 'completed', 0])
      assert.equal(typeof result.apart, 'string')
      assert.ok(result.digestMatched)
    }
  })
})
