import assert from 'node:assert/strict'

import { INCOMING_FRAMES } from '../../../src/handoff/messages.ts'
import { encodePrefixSet, Inventory, PREFIX_SET_LIMITS } from '../../../src/page/index.ts'
import { decodeHad, encodeHad, PUBLIC_PAGES_MAX, takeHad } from '../../../src/transfer/publicpages.ts'
import { hasher, page } from '../../support/madepages.ts'
import { publicHasher, publicSetOf } from '../../support/publicpages.ts'
import { sortedTable } from '../../support/sortedtables.ts'

const PUBLIC = [1, 2, 3].map(page)
const BITMAP = Uint8Array.of(0b101)
const there = { areThere: true, list: () => publicSetOf(PUBLIC) }

/** A guest's three pages, listed. */
async function listed(): Promise<Inventory> {
  const table = sortedTable([[1, 0, 0], [2, 0, 1], [3, 0, 2]])
  const inventory = new Inventory({ table, numberAt: (index) => table.valueAt(index) })
  await inventory.encode()
  return inventory
}

describe('what a destination says that it has', () => {
  it('is a bitmap, and public pages where both ends agreed on them', async () => {
    const never = { areThere: false, list: () => assert.fail('nobody asked for it') }
    const alone = await encodeHad(BITMAP, {}, never)
    assert.deepEqual([...alone], [...BITMAP])
    const plain = await listed()
    assert.equal(await takeHad(alone, { hasher }, plain), undefined)
    assert.equal(plain.known.count, 2)

    const body = await encodeHad(BITMAP, { publicHasher }, there)
    const both = await listed()
    const known = await takeHad(body, { hasher, publicHasher }, both)
    assert.equal(both.known.count, 2)
    assert.deepEqual(known, { pageKey: publicHasher.pageKey, pages: await publicSetOf(PUBLIC) })
  })

  it('is of no use where the guest moves without references, or nothing is public', async () => {
    const body = await encodeHad(BITMAP, { publicHasher }, there)
    assert.equal(await takeHad(body, { hasher, publicHasher, apart: 'no' }, await listed()), undefined)
    const empty = await encodeHad(BITMAP, { publicHasher }, { ...there, list: () => publicSetOf([]) })
    assert.equal(await takeHad(empty, { hasher, publicHasher }, await listed()), undefined)
  })

  it('is refused where it is cut short, has too much, or says what was not agreed on', async () => {
    const body = await encodeHad(BITMAP, { publicHasher }, there)
    await assert.rejects(async () => takeHad(body, { hasher }, await listed()), { code: 'bad-frame' })
    await assert.rejects(async () => takeHad(body.subarray(0, 1), { hasher, publicHasher }, await listed()), {
      code: 'bad-prefix-set',
    })
    await assert.rejects(decodeHad(Buffer.alloc(0), 3), { code: 'bad-prefix-set' })
    const prefixes = Float64Array.from({ length: PUBLIC_PAGES_MAX + 1 }, (_, index) => index * 2 ** 24)
    const many = { bits: 44, prefixes }
    await assert.rejects(decodeHad(Buffer.from(await encodePrefixSet(many)), 0), { code: 'bad-prefix-set' })
    const most = Buffer.from(await encodePrefixSet({ ...many, prefixes: prefixes.subarray(1) }))
    assert.equal((await decodeHad(most, 0)).pages.prefixes.length, PUBLIC_PAGES_MAX)
    // With the bitmap of the longest list it fits into a frame.
    assert.ok(most.length + PREFIX_SET_LIMITS.countMax / 8 < INCOMING_FRAMES.bitmap.bytesMax, `${most.length} bytes`)
  })
})
