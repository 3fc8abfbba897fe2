import assert from 'node:assert/strict'
import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

import { ask, madeClock, madeLog, madeStore, numbers, pagesOf } from '../../support/madestore.ts'
import { smallDisk } from '../../support/smalldisk.ts'

const DISK_BYTES = 2 ** 20

describe('a store on a full disk', () => {
  const disk = smallDisk(DISK_BYTES)

  it('refuses batches, says so once, goes on reading, and takes pages again when there is room', async () => {
    const ballast = join(disk, 'ballast')
    writeFileSync(ballast, Buffer.alloc(DISK_BYTES / 2))
    const clock = madeClock()
    const log = madeLog()
    const path = join(disk, 'store')
    const store = madeStore(path, { bytesMax: 16 * DISK_BYTES, clock, log })
    await store.start()
    const stored: number[] = []
    for (let first = 0; first < 640; first += 64) {
      const counts = await store.put(pagesOf(numbers(64, first)), 'departed')
      if (counts.stored > 0) stored.push(...numbers(64, first))
      else assert.equal(counts.refused, 64)
      assert.deepEqual(await ask(store, numbers(640)), { filled: stored, wrong: [] })
    }
    assert.equal(stored.length, 64)
    assert.deepEqual(log.warnings.length, 1)

    // Better pages need no more disk than those that give way to them.
    assert.deepEqual(await store.put(pagesOf(numbers(40, 1000)), 'head'), { stored: 40, known: 0, refused: 0 })
    assert.deepEqual((await ask(store, numbers(64))).filled.length, 24)
    rmSync(ballast)
    clock.pass(61)
    assert.deepEqual(await store.put(pagesOf(numbers(64, 2000)), 'departed'), { stored: 64, known: 0, refused: 0 })
    await store.stop()
    await store.start()
    const kept = [...numbers(40, 1000), ...numbers(64, 2000)]
    assert.deepEqual(await ask(store, kept), { filled: kept, wrong: [] })
    assert.deepEqual([store.damagedPages, store.pages], [0, 128])
    await store.stop()
  })

  it('opens on a disk without any room, and what is there can be had', async () => {
    const path = join(disk, 'store')
    const store = madeStore(path, { bytesMax: 16 * DISK_BYTES })
    await store.start()
    const before = store.pages
    await store.stop()
    let free = DISK_BYTES
    for (; free >= 4096; free /= 2) {
      try {
        for (let part = 0; ; part++) writeFileSync(join(disk, `${free}-${part}`), Buffer.alloc(free))
      } catch { /* Full to within this size. */ }
    }
    await store.start()
    assert.equal(store.pages, before)
    assert.equal((await store.put(pagesOf(numbers(64, 5000)), 'departed')).refused, 64)
    assert.equal((await ask(store, numbers(64, 2000))).filled.length, 64)
    await store.stop()
  })
})
