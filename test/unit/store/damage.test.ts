import assert from 'node:assert/strict'
import { readFileSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

import { systemClock } from '../../../src/runtime/clock.ts'
import { decodeHead, HEAD_BYTES, RECORD_BYTES, SLOT_BYTES } from '../../../src/store/format.ts'
import {
  ask, madeDirectory, madeLog, madeStore, numbers, pagesOf, prefixesOf, slowClock,
} from '../../support/madestore.ts'
import { seededRandom } from '../../support/random.ts'

const SEEDS = 1000
/** Losses of power, each at another moment. */
const POWER_SEEDS = 100
const SECTOR_BYTES = 512
const PAGES = 24

interface Files {
  slab: Buffer
  index: Buffer
}

/** Flips up to 40 bits, tears out a piece, mixes up two pieces, cuts the end off: one or two of these to a file. */
function damage(file: Buffer, random: () => number): Buffer {
  let damaged = Buffer.from(file)
  const place = (): number => Math.floor(random() * damaged.length)
  for (let wounds = 1 + Math.floor(random() * 2); wounds > 0; wounds--) {
    const kind = random()
    if (kind < 0.55) {
      for (let flips = 1 + Math.floor(random() * 40); flips > 0; flips--) {
        if (damaged.length > 0) damaged[place()]! ^= 1 << Math.floor(random() * 8)
      }
    } else if (kind < 0.7) {
      const at = place()
      damaged.fill(0, at, Math.min(damaged.length, at + 600))
    } else if (kind < 0.85) {
      const at = place()
      damaged.copy(damaged, place(), at, Math.min(damaged.length, at + 5000))
    } else damaged = damaged.subarray(0, place())
  }
  return damaged
}

/** The pages whose bytes and record are as they were written, if the head can be read. Page i is in slot i. */
function undamaged(before: Files, after: Files): number[] {
  if (!Array.isArray(decodeHead(after.index.subarray(0, HEAD_BYTES)))) return []
  const isSame = (file: keyof Files, at: number, bytes: number): boolean =>
    after[file].length >= at + bytes && before[file].compare(after[file], at, at + bytes, at, at + bytes) === 0
  return numbers(PAGES).filter((slot) =>
    isSame('slab', slot * SLOT_BYTES, SLOT_BYTES) && isSame('index', HEAD_BYTES + slot * RECORD_BYTES, RECORD_BYTES))
}

describe('a store whose files are damaged', function () {
  this.timeout(120_000)
  const path = madeDirectory()
  const paths = { slab: join(path, 'pages.slab'), index: join(path, 'pages.index') }
  let files: Files

  const writeFiles = ({ slab, index }: Files): void => {
    writeFileSync(paths.slab, slab)
    writeFileSync(paths.index, index)
  }

  before(async () => {
    const store = madeStore(path, { slots: PAGES })
    await store.start()
    await store.put(pagesOf(numbers(PAGES)), 'head')
    await store.stop()
    files = { slab: readFileSync(paths.slab), index: readFileSync(paths.index) }
  })

  it(`loses the damaged pages alone and never yields a wrong one, ${SEEDS} times`, async () => {
    let lost = 0
    let kept = 0
    for (let seed = 1; seed <= SEEDS; seed++) {
      const random = seededRandom(seed)
      const which = random()
      const damaged = {
        slab: which < 0.7 ? damage(files.slab, random) : files.slab,
        index: which > 0.4 ? damage(files.index, random) : files.index,
      }
      writeFiles(damaged)
      const store = madeStore(path, { slots: PAGES, clock: seed % 2 === 0 ? systemClock : slowClock() })
      await store.start()
      const { filled, wrong } = await ask(store, numbers(PAGES))
      assert.deepEqual(wrong, [], `seed ${seed}`)
      assert.deepEqual(filled, undamaged(files, damaged), `seed ${seed}`)
      assert.equal(store.pages, filled.length, `seed ${seed}`)
      const counts = await store.put(pagesOf(numbers(PAGES)), 'head')
      assert.deepEqual(counts, { stored: PAGES - filled.length, known: filled.length, refused: 0 }, `seed ${seed}`)
      await store.stop()
      lost += PAGES - filled.length
      kept += filled.length
    }
    assert.ok(lost > SEEDS && kept > SEEDS, `${lost} lost, ${kept} kept`)
  })

  it(`yields no wrong page after a loss of power, whatever was written by then, ${POWER_SEEDS} times`, async () => {
    writeFiles(files)
    const store = madeStore(path, { slots: PAGES })
    await store.start()
    await store.remove(prefixesOf(numbers(12)))
    await store.put(pagesOf(numbers(8, 100)), 'departed')
    await store.put(pagesOf([...numbers(6, 200), ...numbers(2)]), 'head')
    await store.stop()
    const later = { slab: readFileSync(paths.slab), index: readFileSync(paths.index) }
    const all = [...numbers(PAGES), ...numbers(8, 100), ...numbers(6, 200)]
    for (let seed = 1; seed <= POWER_SEEDS; seed++) {
      const random = seededRandom(seed)
      // Disks write sectors, in any order: each is of then or of now.
      const mixed = (then: Buffer, now: Buffer): Buffer => {
        const file = Buffer.from(now)
        for (let at = 0; at < file.length; at += SECTOR_BYTES) {
          if (random() < 0.5) then.copy(file, at, at, at + SECTOR_BYTES)
        }
        return file
      }
      writeFiles({ slab: mixed(files.slab, later.slab), index: mixed(files.index, later.index) })
      await store.start()
      assert.deepEqual((await ask(store, all)).wrong, [], `seed ${seed}`)
      const counts = await store.put(pagesOf(numbers(PAGES)), 'head')
      assert.equal(counts.stored + counts.known + counts.refused, PAGES)
      assert.deepEqual((await ask(store, all)).wrong, [], `seed ${seed}`)
      await store.stop()
    }
  })

  it('is whole again after damage was found and its pages came anew, restart included', async () => {
    writeFiles({ slab: files.slab.subarray(0, 10 * SLOT_BYTES + 5), index: files.index })
    const log = madeLog()
    const store = madeStore(path, { slots: PAGES, log })
    await store.start()
    assert.deepEqual([store.pages, store.damagedPages], [10, PAGES - 10])
    await store.put(pagesOf(numbers(PAGES)), 'head')
    await store.stop()
    await store.start()
    assert.deepEqual(await ask(store, numbers(PAGES)), { filled: numbers(PAGES), wrong: [] })
    assert.equal(store.damagedPages, 0)
    await store.stop()
  })

  it('finds damage that comes while it is open, counts it, says so once, and does not find it again', async () => {
    writeFiles(files)
    const log = madeLog()
    const store = madeStore(path, { slots: PAGES, log, clock: slowClock() })
    await store.start()
    const slab = Buffer.from(files.slab)
    slab[3 * SLOT_BYTES]! ^= 1
    slab[4 * SLOT_BYTES]! ^= 1
    writeFileSync(paths.slab, slab)
    truncateSync(paths.slab, 20 * SLOT_BYTES + 100)
    const rest = [0, 1, 2, ...numbers(15, 5)]
    for (let round = 0; round < 2; round++) {
      assert.deepEqual(await ask(store, numbers(PAGES)), { filled: rest, wrong: [] })
      assert.deepEqual([store.pages, store.damagedPages, log.warnings.length], [rest.length, PAGES - rest.length, 1])
    }
    // The queue is in order: behind this the records are cleared.
    assert.deepEqual(await store.put(pagesOf([0]), 'head'), { stored: 0, known: 1, refused: 0 })
    await store.stop()
    await store.start()
    assert.deepEqual([store.pages, store.damagedPages], [rest.length, 0])
    await store.stop()
  })
})
