import assert from 'node:assert/strict'

import { createPublicPages } from '../../../src/agent/publicpages.ts'
import { prefixHigh, type PrefixRun } from '../../../src/page/index.ts'
import { PUBLIC_PAGES_MAX } from '../../../src/transfer/index.ts'
import { madeScope } from '../../support/madescopes.ts'

type Init = Parameters<typeof createPublicPages>[0]

/** A census whose guests are of one tenant, with these stable pages; entries are the first halves of prefixes. */
function censusOf(tenant: string, highs: readonly number[], asked: (string | undefined)[] = []): Init['census'] {
  return {
    all: () => [{ scope: { ...madeScope(), tenant } }] as unknown as ReturnType<Init['census']['all']>,
    stablePages(first: number, last: number, into: PrefixRun, of?: string) {
      asked.push(of)
      if (of !== tenant) return
      for (const high of highs) if (high >= first && high <= last) into.push(high, 0, 1)
    },
  }
}

function viewOf(highs: readonly number[]): NonNullable<Init['view']> {
  return { pages: highs.length, forEach: (visit) => { for (const high of highs) visit(high, 0, 1, 1) } }
}

function storeOf(highs: readonly number[]): Init['store'] {
  return { pages: highs.length, has: (high, _low, bits) => bits === 64 && highs.includes(high) }
}

async function listed(init: Init): Promise<number[]> {
  const { bits, prefixes } = await createPublicPages(init).list()
  return Array.from(prefixes, (prefix) => prefixHigh(prefix, bits))
}

const NONE = censusOf('blue', [])

describe('the public pages of a host', () => {
  it('are those of its public guests, and those of its store that are known to be public, each once', async () => {
    const asked: (string | undefined)[] = []
    const census = censusOf('public', [7, 2 ** 20, 2 ** 32 - 1], asked)
    const view = viewOf([3, 7, 9, 2 ** 31])
    assert.deepEqual(await listed({ census, view, store: storeOf([3, 7, 2 ** 31, 5]) }), [
      3, 7, 2 ** 20, 2 ** 31, 2 ** 32 - 1,
    ])
    assert.deepEqual(new Set(asked), new Set(['public']), 'pages of other tenants are not even looked at')
  })

  it('are not those that other tenants hold or that the store has for them', async () => {
    assert.deepEqual(await listed({ census: censusOf('blue', [1, 2]), view: viewOf([9]), store: storeOf([1, 2]) }), [])
  })

  it('are there where a guest is public, or some may be in the store, and the host has the tenant', () => {
    const are = (init: Init): boolean => createPublicPages(init).areThere
    assert.ok(are({ census: censusOf('public', []), view: viewOf([]), store: storeOf([]) }))
    assert.ok(are({ census: NONE, view: viewOf([1]), store: storeOf([2]) }))
    assert.ok(!are({ census: NONE, view: viewOf([]), store: storeOf([2]) }))
    assert.ok(!are({ census: NONE, view: viewOf([1]), store: storeOf([]) }))
    assert.ok(!are({ census: NONE, view: undefined, store: storeOf([2]) }))
  })

  it('are as many as are listed at most, those in memory first', async () => {
    const highs = Array.from({ length: PUBLIC_PAGES_MAX }, (_, index) => index * 2)
    const all = { pages: 1, has: () => true }
    const short = await createPublicPages({
      census: censusOf('public', highs.slice(1)), view: viewOf([1, 3, 5]), store: all,
    }).list()
    assert.equal(short.prefixes.length, PUBLIC_PAGES_MAX)
    assert.equal(prefixHigh(short.prefixes[0]!, short.bits), 1, 'one of the store')
    const full = await createPublicPages({
      census: censusOf('public', [...highs, 2 ** 31]), view: viewOf([1]), store: all,
    }).list()
    assert.equal(full.prefixes.length, PUBLIC_PAGES_MAX)
    assert.equal(prefixHigh(full.prefixes[1]!, full.bits), 2)
  })
})
