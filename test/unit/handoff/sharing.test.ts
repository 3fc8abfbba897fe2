import assert from 'node:assert/strict'

import type { ListedPages } from '../../../src/page/index.ts'
import { deferred } from '../../../src/runtime/wait.ts'
import type { ArrivedPages } from '../../../src/swap/index.ts'
import { Ends, type EndsOptions } from '../../support/bothends.ts'
import { idOf, page, sourceWith } from '../../support/madepages.ts'
import { until } from '../../support/passagerelay.ts'
import { sortedTable } from '../../support/sortedtables.ts'
import { postcopyStream, precopyStream } from '../../support/streambuilder.ts'
import { PlayedPeers } from '../swap/playedpeers.ts'

/** What the guest holds, in the order of its memory. */
const PAGES = [1, 2, 3, 4, 5, 6].map(page)
/** What is at the destination before, and what other hosts have. */
const HERE = PAGES.slice(0, 2)
const ELSEWHERE = PAGES.slice(4)
const MEMORY = [{ name: 'pc.ram', pages: PAGES }]
const STREAM = Buffer.from(precopyStream(MEMORY).bytes)
const GIVEN_BYTES = 5000

/** The guest's census. */
function censusOf(pages: readonly Buffer[]): ListedPages {
  const table = sortedTable(pages.map((bytes, number) => {
    const id = idOf(bytes)
    return [id.readUInt32BE(0), id.readUInt32BE(4), number] as const
  }))
  return { table, numberAt: (index) => table.valueAt(index) }
}

function arrivedPages(pages: readonly Buffer[]): ArrivedPages {
  return {
    count: pages.length, ids: Buffer.concat(pages.map(idOf)), bytes: Buffer.concat(pages),
    indices: Uint32Array.from(pages.keys()),
  }
}

/** A guest of which the destination has something, and other hosts something else. */
function sharing(options: Omit<EndsOptions, 'peers' | 'sources'> = {}): { ends: Ends; peers: PlayedPeers } {
  const peers = new PlayedPeers(arrivedPages(ELSEWHERE))
  const here = new Set(HERE.map((bytes) => idOf(bytes).readUInt32BE(0)))
  const ends = new Ends({
    ...options, peers, sources: [sourceWith(HERE)],
    outgoing: { census: censusOf(PAGES), ...options.outgoing },
    incoming: { has: (high) => here.has(high), ...options.incoming },
  })
  return { ends, peers }
}

/** All its memory is free again: half of what is left is what one may take. */
function assertBudgetIsFree(ends: Ends): void {
  assert.equal(ends.budget.reserve(1000), 500)
}

describe('a guest of which the destination has pages', () => {
  it('comes as references to them, and to what other hosts gave meanwhile; the rest comes whole', async () => {
    const { ends, peers } = sharing()
    const { result } = await ends.move()
    assert.deepEqual([peers.source, peers.wanted], ['a', ELSEWHERE.length])
    peers.give()
    await ends.wait()
    await ends.send(STREAM)
    ends.destination.become('completed')
    await until(() => ends.incoming.state.at === 'loaded')
    ends.source.become('completed')
    const said = await result
    assert.deepEqual(said.pages, { total: 6, zero: 0, ref: 4, literal: 2 })
    assert.deepEqual(said.refsFilledBy, { sentBefore: 0, resident: 2, store: 0, peer: 2, source: 0 })
    assert.equal(said.peerBytes, GIVEN_BYTES)
    assert.ok(said.digestMatched)
    assert.deepEqual([said.literalBytes, said.literalWireBytes], [2 * 4096, 2 * 4096])
    await ends.wait()
    assertBudgetIsFree(ends)
  })

  it('refers to pages that other hosts gave before its stream began, too', async () => {
    const { ends, peers } = sharing()
    const begun = deferred<void>()
    ends.source.waits['migrate'] = begun.promise
    await ends.start()
    const result = ends.outgoing.run()
    await until(() => peers.wanted > 0)
    peers.give()
    await ends.wait()
    assert.equal(ends.outgoing.state.at, 'starting')
    begun.resolve()
    await until(() => ends.destination.qemu !== undefined)
    await ends.send(STREAM)
    ends.destination.become('completed')
    await ends.wait()
    ends.source.become('completed')
    assert.deepEqual((await result).refsFilledBy, { sentBefore: 0, resident: 2, store: 0, peer: 2, source: 0 })
  })

  it('is fetched for no longer than it moves: a handoff that ends lets go of what came', async () => {
    const { ends, peers } = sharing()
    const { result } = await ends.move()
    assert.ok(!peers.isAborted)
    ends.outgoing.cancel({ code: 'cancelled', fault: 'cancelled', message: 'Cancelled.' })
    await result
    await ends.wait()
    assert.ok(peers.isAborted)
    assertBudgetIsFree(ends)
  })

  it('is fetched for no longer than its stream runs, where the QEMUs end their connections last', async () => {
    const { ends, peers } = sharing({ mode: 'postcopy' })
    const empty = [{ name: 'pc.ram', pages: PAGES.map(() => undefined) }]
    const { result } = await ends.serve(postcopyStream(empty, MEMORY).bytes)
    ends.destination.become('completed')
    await result
    await ends.wait()
    assert.ok(!peers.isAborted)
    ends.destination.qemu!.endpoint.end()
    ends.source.qemu!.endpoint.end()
    await until(() => peers.isAborted)
    await ends.wait()
    assertBudgetIsFree(ends)
  })

  it('tells what came from other hosts though it was let go before anybody asked', async () => {
    const { ends, peers } = sharing()
    const { result } = await ends.move()
    peers.give()
    await ends.wait()
    await ends.send(STREAM)
    ends.destination.become('completed')
    await until(() => ends.incoming.state.at === 'loaded')
    ends.source.ignoresCancel = true
    await ends.cut()
    ends.source.become('completed')
    await ends.wait(4000)
    const said = await result
    assert.deepEqual([said.status, said.peerBytes], ['completed', GIVEN_BYTES])
  })

  it('is estimated by what the destination has', async () => {
    const { ends, peers } = sharing({ plan: 'dryRun' })
    await ends.start()
    const { distinctPages, pagesAtDestination } = await ends.outgoing.estimate()
    assert.deepEqual([distinctPages, pagesAtDestination], [6, 2])
    assert.equal(peers.wanted, 0, 'nothing is fetched for it')
  })

  it('asks what the destination has once more, and fetches nothing, when a cut post-copy goes on', async () => {
    const asked: number[] = []
    const has = (high: number): boolean => asked.push(high) > 0
    const { ends, peers } = sharing({ mode: 'postcopy', incoming: { has } })
    const empty = [{ name: 'pc.ram', pages: PAGES.map(() => undefined) }]
    await ends.serve(postcopyStream(empty, MEMORY).bytes)
    assert.equal(asked.length, 6)
    await ends.cut()
    peers.source = ''
    void ends.outgoing.run()
    await until(() => ends.incoming.state.at === 'serving')
    assert.deepEqual([asked.length, peers.source], [12, ''])
  })
})
