/** Pages traded between honest hosts. */
import assert from 'node:assert/strict'

import { fetchPages, MadePages, range, SwapNetwork } from '../../support/madeswap.ts'

describe('a fetch', () => {
  const pages = new MadePages(3000)
  let scene: SwapNetwork

  beforeEach(() => { scene = new SwapNetwork(pages) })
  afterEach(() => scene.end())

  it('brings what a holder has, and counts what nobody has', async () => {
    await scene.add('b', { has: (number) => number < 2000 })
    const a = await scene.add('a')
    const { basket, counts } = fetchPages(a, pages, range(2500), ['b'])
    assert.deepEqual(await counts, { fetched: 2000, missing: 500 })
    assert.deepEqual(basket.sorted, range(2000))
    assert.deepEqual(a.swap.pages, { served: 0, fetched: 2000, missing: 500, wrong: 0 })
  })

  it('puts its parts together from several holders', async () => {
    for (const [index, name] of ['b', 'c', 'd'].entries()) {
      await scene.add(name, { has: (number) => number % 3 === index })
    }
    const a = await scene.add('a')
    const { basket, counts } = fetchPages(a, pages, range(3000), ['b', 'c', 'd'])
    assert.deepEqual(await counts, { fetched: 3000, missing: 0 })
    assert.deepEqual(basket.sorted, range(3000))
  })

  it('is over at once when nothing is wanted, nobody is named, or nobody of them is there', async () => {
    const a = await scene.add('a')
    assert.deepEqual(await fetchPages(a, pages, [], ['b']).counts, { fetched: 0, missing: 0 })
    assert.deepEqual(await fetchPages(a, pages, range(3000), []).counts, { fetched: 0, missing: 3000 })
    assert.deepEqual(await fetchPages(a, pages, range(3000), ['z', 'y']).counts, { fetched: 0, missing: 3000 })
  })
})
