import assert from 'node:assert/strict'
import { existsSync, mkdirSync, readdirSync, rmdirSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { join } from 'node:path'

import fc from 'fast-check'

import { ID_BYTES, PAGE_BYTES, PageBatch, verified } from '../../../src/page/index.ts'
import { systemClock } from '../../../src/runtime/clock.ts'
import { systemRandom } from '../../../src/runtime/random.ts'
import {
  bytesOf, encodeHead, HEAD_BYTES, RECORD_BYTES, RECORD_WORDS, SLOT_BYTES, slotsIn, writeRecord,
} from '../../../src/store/format.ts'
import { ScopeSeal } from '../../../src/store/sealing.ts'
import {
  ask, hasher, idOf, keptBy, madeClock, madeDirectory, madeStore, numbers, pageOf, pagesOf, prefixesOf,
  prefixOf, scopes, signal, slowClock,
} from '../../support/madestore.ts'
import { seededRandom } from '../../support/random.ts'

describe('a page store', () => {
  const parent = madeDirectory()
  let stores = 0
  const nextPath = (): string => join(parent, `store-${stores++}`)

  it('survives a restart, and starts and stops as often as it is told to', async () => {
    const path = nextPath()
    const store = madeStore(path)
    assert.deepEqual(await store.put(pagesOf([1]), 'head'), { stored: 0, known: 0, refused: 1 })
    await store.stop()
    await Promise.all([store.start(), store.start()])
    assert.deepEqual(await store.put(pagesOf(numbers(100)), 'tail'), { stored: 100, known: 0, refused: 0 })
    await Promise.all([store.stop(), store.stop()])
    assert.deepEqual([store.pages, store.has(...prefixOf(1), 64)], [0, false])
    assert.deepEqual(await ask(store, [1]), { filled: [], wrong: [] })
    await store.start()
    assert.equal(store.pages, 100)
    assert.deepEqual(await ask(store, numbers(120)), { filled: numbers(100), wrong: [] })
    const stopping = store.stop()
    await store.start()
    await stopping
    assert.equal(store.pages, 100)
    await store.stop()
  })

  it('lets nobody else look at the pages', async () => {
    const path = nextPath()
    const store = madeStore(path)
    await store.start()
    assert.equal(statSync(path).mode & 0o777, 0o700)
    for (const name of ['pages.slab', 'pages.index']) assert.equal(statSync(join(path, name)).mode & 0o777, 0o600)
    await store.stop()
  })

  it('finds pages by the first bits of their ids', async () => {
    const store = madeStore(nextPath())
    await store.start()
    await store.put(pagesOf(numbers(64)), 'head')
    for (const bits of [32, 33, 40, 48, 52, 63, 64]) {
      const keep = (half: number, count: number): number => (count <= 0 ? 0 : (half & (-1 << (32 - count))) >>> 0)
      for (const number of numbers(128)) {
        const [high, low] = prefixOf(number)
        assert.equal(store.has(high, keep(low, bits - 32), bits), number < 64)
      }
    }
    await store.stop()
  })

  for (const [disk, clock] of [['quick', systemClock], ['slow', slowClock()]] as const) {
    it(`fills batches in any order and of any size from a ${disk} disk`, async () => {
      const store = madeStore(nextPath(), { slots: 1000, clock })
      await store.start()
      for (const first of [0, 500]) await store.put(pagesOf(numbers(500, first)), 'head')
      const wanted = fc.oneof(
        fc.array(fc.nat(1100), { minLength: 1, maxLength: 600 }),
        fc.tuple(fc.nat(700), fc.integer({ min: 1, max: 500 })).map(([first, count]) => numbers(count, first)),
        fc.array(fc.nat(40), { minLength: 1, maxLength: 300 }),
      )
      await fc.assert(fc.asyncProperty(wanted, async (pages) => {
        assert.deepEqual(await ask(store, pages), { filled: pages.filter((number) => number < 1000), wrong: [] })
      }), { numRuns: 40 })
      assert.equal(store.damagedPages, 0)
      await store.stop()
    })
  }

  it('fills a batch that wants few pages often', async () => {
    const store = madeStore(nextPath())
    await store.start()
    await store.put(pagesOf(numbers(20)), 'head')
    const wanted = numbers(600).map((number) => number % 20)
    assert.deepEqual(await ask(store, wanted), { filled: wanted, wrong: [] })
    assert.equal(store.damagedPages, 0)
    await store.stop()
  })

  it('leaves alone what is filled already', async () => {
    const store = madeStore(nextPath())
    await store.start()
    await store.put(pagesOf(numbers(64)), 'head')
    const batch = new PageBatch(Buffer.concat([idOf(1), idOf(2)]))
    batch.bytes.fill(7)
    batch.markFilled(0, 'peer')
    await store.source.fill(batch, signal)
    assert.deepEqual([batch.filledBy(0), batch.filledBy(1), batch.bytes[0]], ['peer', 'store', 7])
    await store.stop()
  })

  it('hashes each page once', async () => {
    const store = madeStore(nextPath())
    assert.equal(verified(store.source, hasher), store.source)
  })

  it('breaks off when nobody waits any more', async () => {
    const store = madeStore(nextPath())
    await store.start()
    await store.put(pagesOf(numbers(200)), 'head')
    await assert.rejects(store.source.fill(new PageBatch(pagesOf(numbers(200)).ids), AbortSignal.abort()))
    await store.stop()
  })

  it('is full at its bound, and gives up pages of guests that left for better ones, oldest first', async () => {
    const clock = madeClock()
    const store = madeStore(nextPath(), { slots: 100, clock })
    await store.start()
    for (const first of [0, 20, 40]) {
      await store.put(pagesOf(numbers(20, first)), 'departed')
      clock.pass(100)
    }
    assert.deepEqual(await store.put(pagesOf(numbers(50, 100)), 'tail'), { stored: 50, known: 0, refused: 0 })
    assert.deepEqual((await ask(store, numbers(60))).filled, numbers(50, 10))
    assert.deepEqual(await store.put(pagesOf(numbers(5, 200)), 'departed'), { stored: 0, known: 0, refused: 5 })
    assert.deepEqual(await store.put(pagesOf(numbers(60, 300)), 'head'), { stored: 50, known: 0, refused: 10 })
    assert.deepEqual((await ask(store, numbers(60))).filled, [])
    assert.deepEqual(await ask(store, numbers(50, 100)), { filled: numbers(50, 100), wrong: [] })
    assert.ok(store.bytes <= store.bytesMax)
    assert.equal(store.damagedPages, 0)
    await store.stop()
  })

  it('stores a page again that gave way to another one of the same batch', async () => {
    const store = madeStore(nextPath(), { slots: 4 })
    await store.start()
    await store.put(pagesOf(numbers(4)), 'departed')
    const counts = await store.put(pagesOf([10, 11, 0, 1, 2, 3]), 'head')
    assert.deepEqual([counts.refused, store.pages], [2, 4])
    assert.equal((await ask(store, [10, 11, ...numbers(4)])).filled.length, 4)
    await store.stop()
  })

  it('misses a page that went between the question and its use, and calls it no damage', async () => {
    const store = madeStore(nextPath(), { slots: 64, clock: slowClock() })
    await store.start()
    await store.put(pagesOf(numbers(64)), 'departed')
    assert.ok(store.has(...prefixOf(9), 64))
    await store.remove(prefixesOf([9]))
    assert.deepEqual(await ask(store, [8, 9]), { filled: [8], wrong: [] })
    for (let round = 0; round < 30; round++) {
      const came = numbers(64, 64 * (round + 1))
      const [{ wrong }] = await Promise.all([
        ask(store, numbers(64, 64 * round)), store.put(pagesOf(came), round % 2 === 0 ? 'head' : 'departed'),
        store.remove(prefixesOf(numbers(64, 64 * round))), store.put(pagesOf(came), 'departed'),
      ])
      assert.deepEqual(wrong, [])
    }
    assert.equal(store.damagedPages, 0)
    await store.stop()
  })

  it('keeps a page when another is asked for whose id only begins alike', async () => {
    const store = madeStore(nextPath())
    await store.start()
    await store.put(pagesOf([1]), 'head')
    const alike = Buffer.from(idOf(1))
    alike[ID_BYTES - 1]! ^= 1
    const batch = new PageBatch(alike)
    await store.source.fill(batch, signal)
    assert.deepEqual([batch.isFilled(0), store.pages, store.damagedPages], [false, 1, 0])
    await store.stop()
  })

  it('refuses what would have to wait behind too much', async () => {
    const store = madeStore(nextPath(), { slots: 20_000 })
    await store.start()
    const batch = pagesOf(numbers(64))
    const counts = await Promise.all(numbers(80).map(() => store.put(batch, 'head')))
    const refused = counts.filter((count) => count.refused === 64).length
    assert.deepEqual([counts[0]!.stored, counts[1]!.known, refused], [64, 64, 80 - 64])
    const last = store.put(batch, 'head')
    const late = store.put(batch, 'head')
    await store.stop()
    assert.deepEqual([(await last).refused + (await late).refused > 0, store.pages], [true, 0])
  })

  it('belongs to one agent at a time, and the error names the holder', async () => {
    const path = nextPath()
    const first = madeStore(path)
    const second = madeStore(path)
    await first.start()
    await assert.rejects(second.start(), { code: 'store-in-use', message: new RegExp(`process ${process.pid}`) })
    await first.put(pagesOf(numbers(64)), 'head')
    await first.stop()
    await second.start()
    assert.equal(second.pages, 64)
    await second.stop()
    assert.deepEqual(readdirSync(path).sort(), ['pages.index', 'pages.slab'])
  })

  it('lets exactly one of many begin that start at once', async () => {
    const path = nextPath()
    const rivals = numbers(8).map(() => madeStore(path))
    const outcomes = await Promise.allSettled(rivals.map((rival) => rival.start()))
    assert.equal(outcomes.filter(({ status }) => status === 'fulfilled').length, 1)
    await Promise.all(rivals.map((rival) => rival.stop()))
  })

  it('works in a directory whose path is longer than that of a socket may be', async () => {
    const store = madeStore(join(nextPath(), 'long'.repeat(40)))
    await store.start()
    await assert.rejects(madeStore(join(parent, `store-${stores - 1}`, 'long'.repeat(40))).start(), {
      code: 'store-in-use',
    })
    await store.stop()
  })

  it('is cut to a bound that became smaller', async () => {
    const path = nextPath()
    const large = madeStore(path, { slots: 200 })
    await large.start()
    await large.put(pagesOf(numbers(200)), 'head')
    await large.stop()
    const small = madeStore(path, { slots: 50 })
    await small.start()
    assert.deepEqual(await ask(small, numbers(200)), { filled: numbers(50), wrong: [] })
    assert.ok(statSync(join(path, 'pages.slab')).size + statSync(join(path, 'pages.index')).size <= small.bytesMax)
    assert.deepEqual([small.bytes, small.damagedPages], [small.bytesMax, 0])
    await small.stop()
  })

  it('of no size holds nothing, takes no disk, and frees what an earlier run left', async () => {
    const path = nextPath()
    const none = madeStore(path, { bytesMax: 0 })
    await none.start()
    assert.deepEqual(await none.put(pagesOf([1]), 'head'), { stored: 0, known: 0, refused: 1 })
    assert.deepEqual([none.has(...prefixOf(1), 32), await none.remove(prefixesOf([1])), none.pages], [false, 0, 0])
    assert.deepEqual(await ask(none, [1]), { filled: [], wrong: [] })
    none.forEach(() => assert.fail())
    await none.stop()
    assert.equal(existsSync(path), false)
    const store = madeStore(path)
    await store.start()
    await assert.rejects(none.start(), { code: 'store-in-use' })
    await store.stop()
    await none.start()
    assert.deepEqual(readdirSync(path), [])
  })

  it('leaves nothing open when it cannot start', async () => {
    const path = nextPath()
    mkdirSync(join(path, 'pages.index'), { recursive: true })
    const store = madeStore(path)
    await assert.rejects(store.start(), { code: 'store-unusable' })
    rmdirSync(join(path, 'pages.index'))
    await store.start()
    await store.stop()
    writeFileSync(join(parent, 'file'), '')
    await assert.rejects(madeStore(join(parent, 'file')).start(), { code: 'store-unusable' })
  })

  it('renews the time of a page that is put again, once a minute at most, and across restarts', async () => {
    const clock = madeClock()
    const path = nextPath()
    const store = madeStore(path, { clock })
    await store.start()
    const timeOf = (): number => [...keptBy(store).values()][0]!.time
    await store.put(pagesOf([1]), 'departed')
    const begun = timeOf()
    clock.pass(30)
    await store.put(pagesOf([1]), 'departed')
    assert.equal(timeOf(), begun)
    clock.pass(31)
    await store.put(pagesOf([1]), 'departed')
    assert.equal(timeOf(), begun + 61)
    await store.stop()
    await store.start()
    assert.equal(timeOf(), begun + 61)
    await store.stop()
  })

  it('opens a million pages in little memory', async function () {
    this.timeout(60_000)
    const count = 1_000_000
    const path = nextPath()
    mkdirSync(path)
    const words = new Uint32Array(count * RECORD_WORDS)
    const ids = Buffer.alloc(ID_BYTES)
    const random = seededRandom(1)
    const seal = new ScopeSeal({ random: systemRandom }, scopes.oldest, new Uint8Array(32))
    for (let slot = 0; slot < count; slot++) {
      for (let at = 0; at < ID_BYTES; at += 4) ids.writeUInt32LE(Math.floor(random() * 2 ** 32), at)
      writeRecord(words, slot * RECORD_WORDS, slot, seal.word, ids, 0, 2, slot)
    }
    {
      await using index = await open(join(path, 'pages.index'), 'w')
      await index.write(encodeHead([seal]))
      await index.write(new Uint8Array(words.buffer), 0, count * RECORD_BYTES, HEAD_BYTES)
    }
    writeFileSync(join(path, 'pages.slab'), '')
    truncateSync(join(path, 'pages.slab'), count * SLOT_BYTES)
    const store = madeStore(path, { slots: count })
    await store.start()
    assert.deepEqual([store.pages, store.damagedPages], [count, 0])
    assert.ok(store.memoryBytes <= 30 * count, `${store.memoryBytes / count} bytes a page`)
    await store.stop()
  })
})

describe('the disk that a store takes', () => {
  it('is all within its bound', () => {
    for (const slots of [1, 2, 1000, 2 ** 20]) {
      assert.equal(slotsIn(bytesOf(slots)), slots)
      assert.equal(slotsIn(bytesOf(slots) - 1), slots - 1)
    }
    assert.deepEqual([slotsIn(0), slotsIn(4096), slotsIn(2 ** 50)], [0, 0, 2 ** 30])
    assert.equal(pageOf(1).length, PAGE_BYTES)
  })
})
