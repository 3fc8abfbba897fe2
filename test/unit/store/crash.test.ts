import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

import { ask, madeDirectory, madeStore, numbers, prefixOf } from '../../support/madestore.ts'
import { seededRandom } from '../../support/random.ts'

const SEEDS = 20
const BATCH = 64
const NUMBERS = 2064
const WRITER = fileURLToPath(new URL('writerprocess.ts', import.meta.url))

interface Step {
  doing: 'put' | 'remove'
  pages: number[]
}

/** Lets a process write to the store and kills it in the middle; what it did, and what it was at. */
async function writeUntilKilled(path: string, slots: number, seed: number): Promise<{ done: Step[]; last?: Step }> {
  const random = seededRandom(seed)
  const stepsMax = 1 + Math.floor(random() * 60)
  const writer = spawn(process.execPath, [WRITER, path, String(slots), String(seed)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const ended = once(writer, 'exit')
  const done: Step[] = []
  let last: Step | undefined
  for await (const line of createInterface({ input: writer.stdout })) {
    const said = JSON.parse(line) as Step | { done: true }
    if ('doing' in said) last = said
    else if (last !== undefined) {
      done.push(last)
      last = undefined
    }
    // Some while after it said that it begins or ends; what it says until it is dead is heard all the same.
    if (done.length >= stepsMax && random() < 0.5) writer.kill('SIGKILL')
  }
  assert.deepEqual(await ended, [null, 'SIGKILL'])
  return last === undefined ? { done } : { done, last }
}

describe('a store whose process is killed', function () {
  this.timeout(120_000)
  const parent = madeDirectory()

  it(`opens, has all that was put, and yields no wrong page, ${SEEDS / 2} times in a row`, async () => {
    const path = join(parent, 'roomy')
    const kept = new Set<number>()
    for (let seed = 1; seed <= SEEDS / 2; seed++) {
      const { done, last } = await writeUntilKilled(path, NUMBERS, seed)
      for (const { doing, pages } of done) {
        for (const page of pages) if (doing === 'put') kept.add(page); else kept.delete(page)
      }
      const store = madeStore(path, { slots: NUMBERS })
      await store.start()
      const { filled, wrong } = await ask(store, numbers(NUMBERS))
      const unsure = new Set(last?.pages)
      const isSure = (page: number): boolean => !unsure.has(page)
      assert.deepEqual(wrong, [])
      assert.deepEqual(filled.filter(isSure), numbers(NUMBERS).filter((page) => kept.has(page) && isSure(page)))
      assert.deepEqual([store.damagedPages, store.pages], [0, filled.length])
      kept.clear()
      for (const page of filled) kept.add(page)
      await store.stop()
    }
  })

  it(`loses at most the pages that gave way, and yields no wrong page, ${SEEDS / 2} times in a row`, async () => {
    const path = join(parent, 'narrow')
    for (let seed = SEEDS / 2 + 1; seed <= SEEDS; seed++) {
      await writeUntilKilled(path, 300, seed)
      const store = madeStore(path, { slots: 300 })
      await store.start()
      const claimed = numbers(NUMBERS).filter((page) => store.has(...prefixOf(page), 64))
      assert.equal(claimed.length, store.pages)
      const { filled, wrong } = await ask(store, numbers(NUMBERS))
      assert.deepEqual(wrong, [])
      assert.equal(filled.length, claimed.length - store.damagedPages)
      assert.ok(store.damagedPages <= BATCH, `${store.damagedPages}`)
      await store.stop()
    }
  })
})
