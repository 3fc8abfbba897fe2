/** Several who ask, and what each may ask for: sharing, standing back, who goes first, and what never leaves. */
import assert from 'node:assert/strict'

import type { MessageStream } from '../../../src/mesh/index.ts'
import { systemClock } from '../../../src/runtime/clock.ts'
import { encodeHello, encodeWant, SWAP_PROTOCOL } from '../../../src/swap/wire.ts'
import { fetchPages, MadePages, range, SwapNetwork, type HostInit, type SwapHost } from '../../support/madeswap.ts'
import { until } from '../../support/meshes.ts'
import { VirtualClock } from '../../support/time.ts'

const pages = new MadePages(1500)
const signal = new AbortController().signal

describe('two fetches at once', () => {
  it('ask for a page once, and both get it', async () => {
    const scene = new SwapNetwork(pages)
    const b = await scene.add('b', { has: () => true })
    const a = await scene.add('a')
    const one = fetchPages(a, pages, range(1000), ['b'])
    const two = fetchPages(a, pages, range(1000, 500), ['b'])
    assert.deepEqual(await Promise.all([one.counts, two.counts]),
      [{ fetched: 1000, missing: 0 }, { fetched: 1000, missing: 0 }])
    assert.deepEqual([one.basket.sorted, two.basket.sorted], [range(1000), range(1000, 500)])
    assert.equal(b.swap.pages.served, 1500)
    await scene.end()
  })

  it('of which the first is aborted leave its pages to the second', async () => {
    const scene = new SwapNetwork(pages, new VirtualClock())
    await scene.addHolder('slow', async ({ stream }) => { for (;;) await stream.receive() })
    const a = await scene.add('a')
    await scene.add('b', { has: () => true })
    const clock = scene.clock as VirtualClock
    const abort = new AbortController()
    const one = fetchPages(a, pages, range(4), ['slow'], { signal: abort.signal })
    one.counts.catch(() => undefined)
    await clock.run(10)
    const two = fetchPages(a, pages, range(4), ['b'])
    await clock.run(clock.now() + 1000)
    assert.deepEqual(two.basket.numbers, [], 'the page is under way elsewhere')
    abort.abort(new Error('enough'))
    assert.deepEqual(await clock.complete(two.counts), { fetched: 4, missing: 0 })
    await assert.rejects(one.counts, /enough/)
    assert.equal(two.basket.calls > 0, true)
    await scene.end()
  })

  it('do not make a guest that arrives wait for what is fetched to be kept', async () => {
    const scene = new SwapNetwork(pages, new VirtualClock())
    const clock = scene.clock as VirtualClock
    await scene.addHolder('slow', async ({ stream }) => { for (;;) await stream.receive() })
    await scene.add('b', { has: () => true })
    const a = await scene.add('a')
    const kept = fetchPages(a, pages, range(4), ['slow'], { purpose: 'placement' })
    await clock.run(10)
    const urgent = fetchPages(a, pages, range(4), ['b'])
    assert.deepEqual(await clock.complete(urgent.counts), { fetched: 4, missing: 0 })
    assert.ok(clock.now() < 200)
    assert.deepEqual(await clock.complete(kept.counts), { fetched: 4, missing: 0 }, 'shared with the other')
    assert.deepEqual(kept.basket.sorted, range(4))
    await scene.end()
  })
})

describe('a fetch', () => {
  it('spreads over all who have the pages', async () => {
    const scene = new SwapNetwork(pages)
    const holders: SwapHost[] = []
    for (const name of ['b', 'c', 'd']) holders.push(await scene.add(name, { has: () => true }))
    const a = await scene.add('a')
    assert.deepEqual(await fetchPages(a, pages, range(1500), ['b', 'c', 'd']).counts, { fetched: 1500, missing: 0 })
    const served = holders.map(({ swap }) => swap.pages.served)
    assert.equal(served.reduce((sum, count) => sum + count), 1500)
    assert.ok(Math.min(...served) >= 150, `${served}`)
    await scene.end()
  })

  it('asks less of a slow holder, and waits for a fast one that has enough to do', async () => {
    const clock = new VirtualClock()
    const scene = new SwapNetwork(pages, clock)
    const taking = (ms: number): HostInit => ({ sources: [pages.source(() => true, () => clock.sleep(ms))] })
    const slow = await scene.add('slow', taking(200))
    const fast = await scene.add('fast', taking(5))
    const a = await scene.add('a')
    // Twelve batches at a time, so small that they are packed at once: virtual time waits for no other thread.
    const fetchRound = async (round: number): Promise<void> => {
      const all = range(12, round * 12).map((lot) => fetchPages(a, pages, range(4, lot * 4), ['slow', 'fast']).counts)
      for (const { fetched } of await clock.complete(Promise.all(all))) assert.equal(fetched, 4)
    }
    await fetchRound(0)
    assert.ok(slow.swap.pages.served > 0 && fast.swap.pages.served > 0, 'both were asked while neither was known')
    const before = slow.swap.pages.served
    for (let round = 1; round <= 20; round++) await fetchRound(round)
    const later = slow.swap.pages.served - before
    assert.ok(later < 960 / 10, `${later} of 960 from the slow one, once it is known`)
    assert.equal(slow.swap.pages.served + fast.swap.pages.served, 1008)
    await scene.end()
  })

  it('holds back while pages are delivered, one call at a time', async () => {
    const scene = new SwapNetwork(new MadePages(6000, 40))
    const b = await scene.add('b', { has: () => true })
    const a = await scene.add('a')
    let running = 0
    let calls = 0
    const gate = Promise.withResolvers<void>()
    const { counts } = fetchPages(a, scene.pages, range(6000), ['b'], {
      deliver: async () => {
        assert.equal(++running, 1)
        calls += 1
        await gate.promise
        running -= 1
      },
    })
    await until(() => b.swap.pages.served >= 4096, 'as much as may be under way came')
    await systemClock.sleep(50)
    assert.ok(b.swap.pages.served <= 16 * 256, `${b.swap.pages.served} pages wait`)
    assert.equal(calls, 1)
    gate.resolve()
    assert.deepEqual(await counts, { fetched: 6000, missing: 0 })
    await scene.end()
  })

  it('rejects with the reason of its signal, and delivers nothing more', async () => {
    const scene = new SwapNetwork(pages)
    await scene.add('b', { has: () => true })
    const a = await scene.add('a')
    const abort = new AbortController()
    let calls = 0
    const { counts } = fetchPages(a, pages, range(1500), ['b'], {
      signal: abort.signal, deliver: () => {
        calls += 1
        abort.abort(new Error('enough'))
      },
    })
    await assert.rejects(counts, /enough/)
    await systemClock.sleep(30)
    assert.equal(calls, 1)
    await assert.rejects(fetchPages(a, pages, range(10), ['b'], { signal: abort.signal }).counts, /enough/)
    await scene.end()
  })

  it('ends when its host stops, and nothing runs after it', async () => {
    const clock = new VirtualClock()
    const scene = new SwapNetwork(pages, clock)
    await scene.addHolder('slow', async ({ stream }) => { for (;;) await stream.receive() })
    const a = await scene.add('a')
    const { counts } = fetchPages(a, pages, range(100), ['slow'])
    await clock.run(100)
    await clock.complete(scene.end())
    assert.deepEqual(await clock.complete(counts), { fetched: 0, missing: 100 })
    await clock.run(clock.now() + 60_000)
    assert.equal(clock.pendingCount, 0)
    assert.deepEqual(await fetchPages(a, pages, range(9), ['slow']).counts, { fetched: 0, missing: 9 })
  })
})

describe('a host that stands back', () => {
  it('asks for nothing that is not urgent until it goes on', async () => {
    const clock = new VirtualClock()
    const scene = new SwapNetwork(pages, clock)
    await scene.add('b', { has: () => true })
    const a = await scene.add('a', { bytesPerSecondMax: 125_000 })
    const goOn = a.swap.standBack()
    const { counts, basket } = fetchPages(a, pages, range(4), ['b'], { purpose: 'placement' })
    await clock.run(300_000)
    assert.deepEqual([basket.calls, a.swap.traffic.placement], [0, { sentBytes: 0, receivedBytes: 0 }])
    const urgent = fetchPages(a, pages, range(4, 10), ['b'])
    assert.equal((await clock.complete(urgent.counts)).fetched, 4)
    goOn()
    assert.deepEqual(await clock.complete(counts), { fetched: 4, missing: 0 })
    await scene.end()
  })

  it('sends nothing that is not urgent beyond what was in flight, and loses no standing by it', async () => {
    const clock = new VirtualClock()
    const scene = new SwapNetwork(pages, clock)
    const rate = 250_000
    const b = await scene.add('b', { has: () => true, bytesPerSecondMax: rate })
    const a = await scene.add('a', { bytesPerSecondMax: rate })
    const { counts } = fetchPages(a, pages, range(200), ['b'], { purpose: 'placement' })
    await clock.run(1000)
    assert.ok(b.swap.pages.served > 5)
    const before = b.swap.traffic.placement
    const goOn = b.swap.standBack()
    await clock.run(clock.now() + 200)
    const held = b.swap.traffic.placement
    const inFlight = held.sentBytes - before.sentBytes
    assert.ok(inFlight <= 2 * 4200, `${inFlight} bytes were in flight`)
    await clock.run(clock.now() + 25_000)
    assert.deepEqual(b.swap.traffic.placement, held, 'not a byte, either way')
    const urgent = fetchPages(a, pages, range(4, 300), ['b'])
    assert.equal((await clock.complete(urgent.counts)).fetched, 4)
    goOn()
    assert.deepEqual(await clock.complete(counts), { fetched: 200, missing: 0 })
    a.standing.fault('memory-b', 3.9)
    assert.ok(a.standing.isTrusted('memory-b'))
    await scene.end()
  })

  it('tells so whoever comes then, and is asked elsewhere', async () => {
    const clock = new VirtualClock()
    const scene = new SwapNetwork(pages, clock)
    const b = await scene.add('b', { has: () => true })
    const c = await scene.add('c', { has: () => true })
    const a = await scene.add('a', { inOrder: true, bytesPerSecondMax: 125_000 })
    b.swap.standBack()
    const { counts } = fetchPages(a, pages, range(8), ['b', 'c'], { purpose: 'placement' })
    assert.equal((await clock.complete(counts)).fetched, 8)
    assert.deepEqual([b.swap.pages.served, c.swap.pages.served], [0, 8])
    const alone = fetchPages(a, pages, range(8), ['b'], { purpose: 'placement' })
    assert.equal((await clock.complete(alone.counts)).missing, 8)
    await scene.end()
  })
})

describe('a holder', () => {
  it('gives nothing that too few hosts hold, whatever it is asked for', async () => {
    const scene = new SwapNetwork(pages)
    let looked = 0
    const b = await scene.add('b', {
      sources: [pages.source(() => true, (batch) => { looked += batch.count })],
      isPopular: (high, low) => pages.numberOf(high, low) % 3 === 0,
    })
    const a = await scene.add('a')
    for (const purpose of ['handoff', 'placement'] as const) {
      const { basket, counts } = fetchPages(a, pages, range(30), ['b'], { purpose })
      assert.deepEqual(await counts, { fetched: 10, missing: 20 })
      assert.deepEqual(basket.sorted, range(30).filter((number) => number % 3 === 0))
    }
    assert.equal(looked, 20)
    assert.equal(b.swap.pages.served, 20)
    await scene.end()
  })

  it('reads as it is at that moment, and gives no page that changed', async () => {
    const scene = new SwapNetwork(pages)
    const changed = pages.source(() => true)
    await scene.add('b', { sources: [{
      kind: 'resident',
      fill: async (batch, within) => {
        await changed.fill(batch, within)
        for (let page = 0; page < batch.count; page += 2) batch.bytes[page * 4096 + 5]! ^= 1
      },
    }] })
    const a = await scene.add('a')
    const { counts } = fetchPages(a, pages, range(100), ['b'])
    assert.deepEqual(await counts, { fetched: 50, missing: 50 })
    assert.equal(a.swap.pages.wrong, 0)
    await scene.end()
  })

  it('whose sources fail is busy, and no more than that', async () => {
    const scene = new SwapNetwork(pages, new VirtualClock())
    const clock = scene.clock as VirtualClock
    const fill = async (): Promise<void> => { throw new Error('the disk is broken') }
    await scene.add('b', { sources: [{ kind: 'store', fill }] })
    const a = await scene.add('a')
    assert.equal((await clock.complete(fetchPages(a, pages, range(4), ['b']).counts)).missing, 4)
    a.standing.fault('memory-b', 3.9)
    assert.ok(a.standing.isTrusted('memory-b'))
    await scene.end()
  })

  it('answers guests that arrive before what is to be kept', async () => {
    const scene = new SwapNetwork(pages)
    const order: number[] = []
    let gate = Promise.withResolvers<void>()
    const b = await scene.add('b', { sources: [pages.source(() => true, async (batch) => {
      order.push(batch.count)
      await gate.promise
    })] })
    const asker = await scene.add('a')
    const ask = async (purpose: 'placement' | 'handoff', count: number, wants: number): Promise<MessageStream> => {
      const stream = await asker.mesh.open('b', SWAP_PROTOCOL, signal)
      await stream.send(encodeHello(purpose))
      for (let want = 1; want <= wants; want++) await stream.send(encodeWant(want, pages.prefixes(range(count))))
      return stream
    }
    const streams = [await ask('placement', 1, 4), await ask('placement', 1, 4), await ask('placement', 1, 4)]
    await until(() => order.length >= 4, 'all that may be read for placement is')
    streams.push(await ask('handoff', 2, 4))
    await until(() => order.length >= 6, 'guests have room beside it')
    assert.deepEqual(order, [1, 1, 1, 1, 2, 2])
    const first = gate
    gate = Promise.withResolvers()
    first.resolve()
    await until(() => order.length >= 10, 'the next are read')
    assert.deepEqual(order.slice(6).filter((count) => count === 2).length, 2)
    gate.resolve()
    await until(() => b.swap.pages.served === 12 + 8, 'all were answered')
    for (const stream of streams) await stream.close()
    await scene.end()
  })
})
