/** Holders that die, lie, stall, claim what they have not, or talk nonsense: the pages come from the next one. */
import assert from 'node:assert/strict'

import { PAGE_BYTES } from '../../../src/page/index.ts'
import { encodeBusy, encodePagesHead } from '../../../src/swap/frames.ts'
import { encodeShut, encodeSlice } from '../../../src/swap/wire.ts'
import { fetchPages, MadePages, range, SwapNetwork, type RawHolder, type SwapHost } from '../../support/madeswap.ts'
import { VirtualClock } from '../../support/time.ts'

const pages = new MadePages(300)
/** So few that what is honest is packed at once: on virtual time nothing waits for another thread. */
const FEW = range(4)

interface Scene {
  clock: VirtualClock
  network: SwapNetwork
  a: SwapHost
}

/** Host a, a holder that does as told, and an honest one. */
async function started(serve: (holder: RawHolder) => Promise<void>): Promise<Scene> {
  const clock = new VirtualClock()
  const network = new SwapNetwork(pages, clock)
  await network.addHolder('bad', serve)
  await network.add('good', { has: () => true })
  const a = await network.add('a', { inOrder: true })
  return { clock, network, a }
}

function score({ a }: Scene, name = 'bad'): 'clean' | 'spotted' | 'distrusted' {
  const peerId = `memory-${name}`
  if (!a.standing.isTrusted(peerId)) return 'distrusted'
  // This much more makes a member distrusted that has any fault.
  a.standing.fault(peerId, 3.9)
  const isClean = a.standing.isTrusted(peerId)
  return isClean ? 'clean' : 'spotted'
}

/** The bad one is asked first, since it is named first. */
async function fetchFrom(scene: Scene, numbers: readonly number[] = FEW, holders = ['bad', 'good']): Promise<{
  sorted: number[]; tookMs: number; fetched: number; missing: number
}> {
  const begunAt = scene.clock.now()
  const { basket, counts } = fetchPages(scene.a, pages, numbers, holders)
  const { fetched, missing } = await scene.clock.complete(counts)
  return { sorted: basket.sorted, tookMs: scene.clock.now() - begunAt, fetched, missing }
}

const silent = async ({ stream }: RawHolder): Promise<void> => { for (;;) await stream.receive() }

const FAULTS: { what: string; serve: (holder: RawHolder) => Promise<void>; cost: string; withinMs: number }[] = [
  { what: 'dies before it answers', cost: 'clean', withinMs: 100, serve: async (holder) => {
    await holder.want()
    throw new Error('dead')
  } },
  { what: 'ends the stream instead of answering', cost: 'clean', withinMs: 100, serve: async (holder) => {
    await holder.want()
  } },
  { what: 'dies in the middle of a batch', cost: 'clean', withinMs: 100, serve: async (holder) => {
    await holder.answer(await holder.want(), undefined, 2000)
    throw new Error('dead')
  } },
  { what: 'lies about the bytes', cost: 'distrusted', withinMs: 100, serve: async (holder) => {
    for (;;) await holder.answer(await holder.want(), (bytes) => Buffer.from(bytes.map((byte) => byte ^ 1)))
  } },
  { what: 'lies about one byte of one page', cost: 'spotted', withinMs: 100, serve: async (holder) => {
    for (;;) {
      await holder.answer(await holder.want(), (bytes) => {
        bytes[PAGE_BYTES + 77]! ^= 1
        return bytes
      })
    }
  } },
  { what: 'claims more pages than it sends', cost: 'spotted', withinMs: 100, serve: async (holder) => {
    for (;;) await holder.answer(await holder.want(), (bytes) => bytes.subarray(PAGE_BYTES))
  } },
  { what: 'sends bytes that are not packed pages', cost: 'spotted', withinMs: 100, serve: async (holder) => {
    for (;;) await holder.answer(await holder.want(), () => Buffer.alloc(100, 7))
  } },
  { what: 'claims pages and stalls', cost: 'spotted', withinMs: 2500, serve: async (holder) => {
    await holder.answer(await holder.want(), undefined, 2000)
    await silent(holder)
  } },
  { what: 'says nothing at all', cost: 'clean', withinMs: 2500, serve: silent },
  { what: 'trickles a byte now and then', cost: 'spotted', withinMs: 8500, serve: async (holder) => {
    const { sequence, prefixes } = await holder.want()
    const head = encodePagesHead(sequence, prefixes.count, Uint8Array.of(15), 4000)
    for (let at = 0; ; at++) {
      await holder.stream.send(encodeSlice(head.subarray(at % 4, at % 4 + 1)))
      await clockOf(holder).sleep(1000)
    }
  } },
  { what: 'says that it is busy', cost: 'clean', withinMs: 200, serve: async (holder) => {
    for (;;) await holder.stream.send(encodeSlice(encodeBusy((await holder.want()).sequence)))
  } },
  { what: 'stands back', cost: 'clean', withinMs: 200, serve: async (holder) => {
    await holder.want()
    await holder.stream.send(encodeShut(true))
    await silent(holder)
  } },
  { what: 'has none of them', cost: 'clean', withinMs: 100, serve: async (holder) => {
    for (;;) {
      const { sequence, prefixes } = await holder.want()
      await holder.stream.send(encodeSlice(encodePagesHead(sequence, prefixes.count, Uint8Array.of(0), 0)))
    }
  } },
  { what: 'answers another want', cost: 'spotted', withinMs: 100, serve: async (holder) => {
    const want = await holder.want()
    await holder.answer({ ...want, sequence: want.sequence + 1 })
    await silent(holder)
  } },
  { what: 'answers twice', cost: 'spotted', withinMs: 100, serve: async (holder) => {
    const { sequence, prefixes } = await holder.want()
    const lacks = encodePagesHead(sequence, prefixes.count, Uint8Array.of(0), 0)
    await holder.stream.send(encodeSlice(Buffer.concat([lacks, lacks])))
    await silent(holder)
  } },
  { what: 'answers with other counts', cost: 'spotted', withinMs: 100, serve: async (holder) => {
    const { sequence } = await holder.want()
    await holder.stream.send(encodeSlice(encodePagesHead(sequence, 200, new Uint8Array(25), 0)))
    await silent(holder)
  } },
  { what: 'sends a message of no kind', cost: 'spotted', withinMs: 100, serve: async (holder) => {
    await holder.want()
    await holder.stream.send(Uint8Array.of(99, 1, 2))
    await silent(holder)
  } },
  { what: 'sends a frame without end', cost: 'spotted', withinMs: 100, serve: async (holder) => {
    await holder.want()
    await holder.stream.send(encodeSlice(Uint8Array.of(0xff, 0xff, 0xff, 0xff, 1)))
    await silent(holder)
  } },
  { what: 'offers a lane that is none', cost: 'clean', withinMs: 100, serve: async (holder) => {
    const want = await holder.want()
    await holder.stream.send(Buffer.concat([Uint8Array.of(2, 1, 5, 1, 5), Buffer.from('nowhere:1')]))
    await holder.answer(want)
    await silent(holder)
  } },
  { what: 'offers two lanes', cost: 'spotted', withinMs: 100, serve: async (holder) => {
    await holder.want()
    const ticket = Buffer.concat([Uint8Array.of(2, 1, 5, 1, 5), Buffer.from('nowhere:1')])
    await holder.stream.send(ticket)
    await holder.stream.send(ticket)
    await silent(holder)
  } },
]

let clockNow: VirtualClock
const clockOf = (_holder: RawHolder): VirtualClock => clockNow

describe('a holder that', () => {
  for (const { what, serve, cost, withinMs } of FAULTS) {
    it(`${what} costs no page, and ${cost === 'clean' ? 'loses no standing' : `is ${cost}`}`, async () => {
      let asked = 0
      const scene = await started(async (holder) => {
        asked += 1
        await serve(holder)
      })
      clockNow = scene.clock
      const { tookMs, ...came } = await fetchFrom(scene)
      assert.deepEqual(came, { sorted: FEW, fetched: 4, missing: 0 })
      assert.ok(asked > 0)
      assert.ok(tookMs <= withinMs, `${tookMs} ms`)
      assert.equal(score(scene), cost)
      assert.equal(score(scene, 'good'), 'clean')
      await scene.network.end()
    })
  }

  it('stalls is passed over for a while, and asked again later', async () => {
    let asked = 0
    const scene = await started(async (holder) => {
      asked += 1
      await silent(holder)
    })
    assert.equal((await fetchFrom(scene)).fetched, 4)
    for (let first = 100; first < 120; first += 4) {
      assert.ok((await fetchFrom(scene, range(4, first))).tookMs < 100)
    }
    assert.equal(asked, 1)
    await scene.clock.run(scene.clock.now() + 60_000)
    assert.deepEqual((await fetchFrom(scene, FEW, ['bad'])).missing, 4)
    assert.equal(asked, 2)
    await scene.network.end()
  })

  it('lost its standing is neither asked nor served', async () => {
    let asked = 0
    const scene = await started(async (holder) => {
      asked += 1
      await silent(holder)
    })
    const other = await scene.network.add('other', { has: () => true })
    scene.a.standing.fault('memory-bad', 4)
    scene.a.standing.fault('memory-other', 4)
    assert.equal((await fetchFrom(scene, FEW, ['bad'])).missing, 4)
    assert.equal(asked, 0)
    const { counts } = fetchPages(other, pages, FEW, ['a'])
    assert.equal((await scene.clock.complete(counts)).missing, 4)
    assert.equal(scene.a.swap.pages.served, 0)
    await scene.network.end()
  })

  it('leaves the mesh is not waited for', async () => {
    const scene = await started(silent)
    const { counts } = fetchPages(scene.a, pages, FEW, ['bad'])
    await scene.clock.run(500)
    scene.network.network.disconnect('bad')
    assert.deepEqual(await scene.clock.complete(counts), { fetched: 0, missing: 4 })
    assert.ok(scene.clock.now() < 700)
    await scene.network.end()
  })
})
