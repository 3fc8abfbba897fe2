import assert from 'node:assert/strict'

import {
  createPageHasher, ID_BYTES, PAGE_BYTES, PageBatch, PageBudget, type PrefixSet,
} from '../../../src/page/index.ts'
import { silentLog } from '../../../src/runtime/log.ts'
import type { ArrivedPages } from '../../../src/swap/index.ts'
import { Prefetch, type PrefetchInit } from '../../../src/swap/prefetch.ts'
import { PlayedPeers } from './playedpeers.ts'

const hasher = createPageHasher(new Uint8Array(32).fill(9))
const BITS = 40

/** Pages unlike each other, with their ids. */
function pagesOf(numbers: readonly number[]): ArrivedPages {
  const count = numbers.length
  const bytes = Buffer.alloc(count * PAGE_BYTES)
  numbers.forEach((number, page) => bytes.fill(`page ${number} `, page * PAGE_BYTES, (page + 1) * PAGE_BYTES))
  const ids = Buffer.alloc(count * ID_BYTES)
  hasher.hashPages(bytes, 0, count, ids, 0)
  return { count, ids, bytes, indices: Uint32Array.from(numbers.keys()) }
}

/** The census of a guest that holds these pages, and the place of each in it. */
function censusOf({ ids, count }: ArrivedPages): { set: PrefixSet; numbers: number[] } {
  const prefixes = Array.from({ length: count }, (_, page) => ids.readUIntBE(page * ID_BYTES, BITS / 8))
  const sorted = Float64Array.from(prefixes).sort()
  return { set: { bits: BITS, prefixes: sorted }, numbers: prefixes.map((prefix) => sorted.indexOf(prefix)) }
}

/** A guest with these pages, of which this host has none; which is where in its memory does not matter. */
function nothingOf(pages: ArrivedPages): PrefetchInit {
  return {
    census: censusOf(pages).set, bitmap: new Uint8Array(Math.ceil(pages.count / 8)),
    order: Buffer.alloc(2 * pages.count), source: 'origin',
  }
}

describe('pages that are fetched while a guest arrives', () => {
  it('are what the bitmap lacks and peers have; each one that came is told by its number and fills refs', async () => {
    const pages = pagesOf([1, 2, 3, 4, 5, 6])
    const { set, numbers } = censusOf(pages)
    const peers = new PlayedPeers(pagesOf([2, 3, 4, 5, 6]))
    const told: number[] = []
    const prefetch = new Prefetch({ peers, budget: new PageBudget(1000), log: silentLog }, {
      tell: (indices) => { for (let at = 0; at < indices.length; at += 4) told.push(indices.readUInt32BE(at)) },
    })
    // Page 0 of these is here already.
    const bitmap = new Uint8Array(1)
    bitmap[0] = 1 << numbers[0]!
    await prefetch.start({ census: set, bitmap, order: Buffer.alloc(10), source: 'origin' })
    assert.equal(peers.source, 'origin')
    assert.equal(peers.wanted, 5)
    const batch = new PageBatch(pages.ids)
    await prefetch.source.fill(batch, new AbortController().signal)
    assert.equal(batch.missing().length, 6)
    peers.give()
    assert.equal(prefetch.receivedBytes, 5000)
    assert.deepEqual(told, numbers.slice(1))
    await prefetch.source.fill(batch, new AbortController().signal)
    const filled = Array.from({ length: 6 }, (_, index) => batch.filledBy(index))
    assert.deepEqual(filled, [undefined, 'peer', 'peer', 'peer', 'peer', 'peer'])
    await prefetch.stop()
  })

  it('begin at the end of the guest\'s memory: the stream comes from the other one', async () => {
    const pages = pagesOf([1, 2, 3, 4, 5, 6])
    const { numbers } = censusOf(pages)
    const peers = new PlayedPeers(pages)
    // Page 0 is in the last part of memory, page 5 in the first.
    const order = Buffer.alloc(12)
    numbers.forEach((number, page) => order.writeUInt16BE(65_000 - page, 2 * number))
    await new Prefetch({ peers, budget: new PageBudget(1000), log: silentLog }, { tell: () => undefined })
      .start({ ...nothingOf(pages), order })
    assert.deepEqual(peers.order, [0, 1, 2, 3, 4, 5].map((page) => pages.ids.readUInt32BE(page * ID_BYTES)))
  })

  it('are no longer fetched once the stream has ended, and let go of when the handoff is over', async () => {
    const pages = pagesOf([1, 2, 3])
    const peers = new PlayedPeers(pages)
    const budget = new PageBudget(8)
    const prefetch = new Prefetch({ peers, budget, log: silentLog }, { tell: () => undefined })
    await prefetch.start(nothingOf(pages))
    assert.equal(budget.reserve(100), 2)
    budget.release(2)
    prefetch.finish()
    assert.ok(peers.isAborted)
    await Promise.all([prefetch.stop(), prefetch.stop()])
    assert.equal(budget.reserve(100), 4)
    assert.equal(prefetch.receivedBytes, 0)
    const batch = new PageBatch(pages.ids)
    await prefetch.source.fill(batch, new AbortController().signal)
    assert.equal(batch.missing().length, 3)
  })

  it('are as many as there is memory for, and none when there is none', async () => {
    const pages = pagesOf([1, 2, 3])
    const few = new PlayedPeers(pages)
    await new Prefetch({ peers: few, budget: new PageBudget(4), log: silentLog }, { tell: () => undefined })
      .start(nothingOf(pages))
    assert.equal(few.wanted, 2)
    const none = new PlayedPeers(pages)
    const nothing = new Prefetch({ peers: none, budget: new PageBudget(1), log: silentLog }, { tell: () => undefined })
    await nothing.start(nothingOf(pages))
    assert.equal(none.wanted, 0)
    assert.equal(nothing.receivedBytes, 0)
  })

  it('are not begun with an order that does not go with the bitmap', async () => {
    const pages = pagesOf([1, 2, 3])
    const peers = new PlayedPeers(pages)
    const prefetch = new Prefetch({ peers, budget: new PageBudget(8), log: silentLog }, { tell: () => undefined })
    await assert.rejects(() => prefetch.start({ ...nothingOf(pages), order: Buffer.alloc(5) }), { code: 'bad-frame' })
    assert.equal(peers.wanted, 0)
  })

  it('that come in pieces are each told once, under the numbers of the census', async () => {
    const pages = pagesOf(Array.from({ length: 40 }, (_, index) => index))
    const { set, numbers } = censusOf(pages)
    const peers = new PlayedPeers(pages)
    const told: Buffer[] = []
    const tell = (indices: Buffer): void => void told.push(indices)
    await new Prefetch({ peers, budget: new PageBudget(1000), log: silentLog }, { tell })
      .start({ ...nothingOf(pages), census: set })
    peers.give()
    assert.deepEqual(told.map(({ length }) => length), [40 * 4])
    const all = Array.from({ length: 40 }, (_, place) => told[0]!.readUInt32BE(place * 4))
    assert.deepEqual(all.sort((one, other) => one - other), numbers.toSorted((one, other) => one - other))
  })
})
