import assert from 'node:assert/strict'

import fc from 'fast-check'

import { findPlaces, type ScannedGuest } from '../../../src/census/places.ts'
import { residentSource } from '../../../src/census/resident.ts'
import { PAGE_BYTES, PageBatch } from '../../../src/page/index.ts'
import { nextTurn } from '../../../src/runtime/turn.ts'
import { sortedTable } from '../../support/sortedtables.ts'
import { idOf, prefixOf } from './ids.ts'
import { MadeGuest, pageOf, type Content } from './madememory.ts'

const { signal } = new AbortController()

function batchOf(contents: readonly number[]): PageBatch {
  return new PageBatch(Buffer.concat(contents.map(idOf)))
}

/** What a scan would find; `went` are page numbers that are no longer resident since. */
function scanned(guest: MadeGuest, isStable = true, went: readonly number[] = []): ScannedGuest {
  const entries: [number, number, number][] = []
  let number = 0
  for (const block of guest.contents) {
    block.forEach((content, page) => {
      if (typeof content === 'number') entries.push([...prefixOf(content), number])
      if (went.includes(number)) block[page] = 'absent'
      number += 1
    })
  }
  const table = sortedTable(entries)
  return { memory: guest, table, numberAt: (index) => table.valueAt(index), isStable: () => isStable }
}

function pageAt(batch: PageBatch, index: number): Buffer {
  return batch.bytes.subarray(index * PAGE_BYTES, (index + 1) * PAGE_BYTES)
}

describe('pages out of guests\' memory', () => {
  it('are found wherever they lie, whatever is wanted in whatever order', async () => {
    const content = fc.oneof(fc.nat(60), fc.constant<Content>('absent'), fc.constant<Content>('zero'))
    const block = fc.array(content, { maxLength: 120 })
    await fc.assert(fc.asyncProperty(
      fc.array(fc.tuple(block, block), { minLength: 1, maxLength: 3 }),
      fc.array(fc.nat(80), { minLength: 1, maxLength: 80 }),
      fc.array(fc.nat(240), { maxLength: 20 }),
      async (memories, wanted, went) => {
        const guests = memories.map((blocks, index) => new MadeGuest(`guest-${index}`, blocks.map((each) => [...each])))
        const found = guests.map((guest) => scanned(guest, true, went))
        const batch = batchOf(wanted)
        await residentSource(() => found).fill(batch, signal)
        wanted.forEach((each, index) => {
          const holder = found.find(({ table }) => table.get(...prefixOf(each)) !== -1)
          const number = holder?.table.get(...prefixOf(each)) ?? -1
          assert.equal(batch.isFilled(index), number !== -1 && !went.includes(number))
          if (batch.isFilled(index)) assert.ok(pageAt(batch, index).equals(pageOf(each)))
        })
      },
    ), { numRuns: 60 })
  })

  it('are read in runs, straight into a batch that wants them in their order', async () => {
    const guest = new MadeGuest('a', [Array.from({ length: 300 }, (_, page) => page)])
    const found = scanned(guest)
    const wanted = Array.from({ length: 200 }, (_, index) => index + 50)
    for (const order of [wanted, [...wanted].reverse()]) {
      guest.reads.length = 0
      const batch = batchOf(order)
      await residentSource(() => [found]).fill(batch, signal)
      assert.deepEqual(guest.reads, [[50, 64], [114, 64], [178, 64], [242, 8]])
      order.forEach((content, index) => assert.ok(pageAt(batch, index).equals(pageOf(content))))
    }
  })

  it('do not mix when several batches are filled side by side', async () => {
    const guest = new MadeGuest('a', [Array.from({ length: 90 }, (_, page) => page)])
    const read = guest.read.bind(guest)
    guest.read = async (...place) => {
      await read(...place)
      await nextTurn()
    }
    const source = residentSource(() => [scanned(guest)])
    const wantedBy = (nth: number): number[] => Array.from({ length: 30 }, (_, index) => 89 - ((index * 3 + nth) % 90))
    const orders = Array.from({ length: 12 }, (_, nth) => wantedBy(nth))
    const batches = orders.map(batchOf)
    await Promise.all(batches.map((batch) => source.fill(batch, signal)))
    batches.forEach((batch, nth) => {
      assert.deepEqual(batch.missing(), [])
      orders[nth]!.forEach((content, index) => assert.ok(pageAt(batch, index).equals(pageOf(content))))
    })
  })

  it('have their place in the guest in which they stayed, if there is one', () => {
    const restless = scanned(new MadeGuest('a', [[1, 2, 3]]), false)
    const quiet = scanned(new MadeGuest('b', [[3, 2]]))
    const batch = batchOf([1, 2, 3, 4])
    batch.markFilled(1, 'store')
    const places = findPlaces(batch, [restless, quiet])
      .map(({ guest, places: { count, numbers, indices } }) => [guest, count, [...numbers], [...indices]])
    assert.deepEqual(places, [[restless, 1, [0], [0]], [quiet, 1, [0], [2]]])
  })
})
