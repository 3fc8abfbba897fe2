import assert from 'node:assert/strict'

import { rehearse, type RehearsalInit } from '../../../src/passage/rehearsal.ts'
import { memoryOf } from '../../support/fakeguest.ts'
import { hasher, NOTHING, page, prefixesOf } from '../../support/madepages.ts'
import { knownPublic } from '../../support/publicpages.ts'
import { VirtualClock } from '../../support/time.ts'

const ZERO = Buffer.alloc(4096)
const INIT: RehearsalInit = { known: NOTHING, publicPages: undefined, channels: 1, level: 1, residentPages: 100 }

describe('a rehearsal of a passage', () => {
  async function rehearsed(pages: Buffer[], init: Partial<RehearsalInit> = {}, between = (): void => {}) {
    const clock = new VirtualClock()
    const signal = new AbortController().signal
    const running = rehearse({ hasher, clock }, memoryOf('web', pages), { ...INIT, ...init }, signal)
    let result: Awaited<typeof running> | undefined
    void running.then((value) => { result = value })
    for (let turn = 0; result === undefined; turn++) {
      assert.ok(turn < 1000)
      await new Promise((resolve) => { setImmediate(resolve) })
      if (clock.pendingCount === 0) continue
      between()
      await clock.run(1000)
    }
    return result
  }

  it('counts pages as the encoder sends them', async () => {
    const pages = [ZERO, page(1), page(2), page(1), page(3), ZERO, page(2), page(2)]
    const { pages: all, zero, ref, sentBefore, literal } = await rehearsed(pages, { known: prefixesOf([page(2)]) })
    assert.deepEqual({ all, zero, ref, sentBefore, literal }, { all: 8, zero: 2, ref: 3, sentBefore: 1, literal: 2 })
  })

  it('counts public pages of the destination as refs, too', async () => {
    const pages = [ZERO, page(1), page(2), page(3), page(3), page(4), page(2)]
    const publicPages = await knownPublic([page(3), page(1)])
    const { ref, sentBefore, literal } = await rehearsed(pages, { known: prefixesOf([page(1)]), publicPages })
    assert.deepEqual({ ref, sentBefore, literal }, { ref: 3, sentBefore: 1, literal: 2 })
  })

  it('finds a page again only in its own channel', async () => {
    const pages = [page(1), ...Array.from({ length: 127 }, (_, index) => page(index + 10)), page(1), page(10)]
    assert.equal((await rehearsed(pages)).sentBefore, 2)
    assert.equal((await rehearsed(pages, { channels: 2 })).sentBefore, 0)
  })

  it('compresses literals at the level asked for', async () => {
    const text = Array.from({ length: 70 }, (_, index) => Buffer.alloc(4096, `page ${index}, and again `))
    const { packedBytes, packedWireBytes } = await rehearsed(text)
    assert.equal(packedBytes, 70 * 4096)
    assert.ok(packedWireBytes < packedBytes / 10)
    const raw = await rehearsed(text, { level: 0 })
    assert.equal(raw.packedWireBytes, raw.packedBytes)
  })

  it('looks a second time, a second later, for pages that have changed', async () => {
    const pages = [page(1), page(2), ZERO, page(3)]
    const { lookedAgain, changed, betweenMs } = await rehearsed(pages, {}, () => {
      pages[0] = page(9)
      pages[2] = page(8)
    })
    assert.deepEqual([lookedAgain, changed, betweenMs], [4, 2, 1000])
  })

  it('looks at a part of a large guest', async () => {
    const pages = Array.from({ length: 2048 }, (_, index) => page(index))
    assert.equal((await rehearsed(pages, { residentPages: 2 ** 18 })).pages, 1024)
  })

  it('ends with its signal', async () => {
    const abort = new AbortController()
    abort.abort(new Error('cancelled'))
    const running = rehearse({ hasher, clock: new VirtualClock() }, memoryOf('web', [page(1)]), INIT, abort.signal)
    await assert.rejects(running, /cancelled/)
  })
})
