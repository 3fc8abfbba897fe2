import assert from 'node:assert/strict'

import {
  answerPages, decodePrefixSet, fetchedPages, Inventory, lastFirst, orderOf, SortedTable, type Prefixes,
} from '../../../src/page/index.ts'
import { knownPages, listPages, listTogether } from '../../../src/page/inventory.ts'
import { sortedTable } from '../../support/sortedtables.ts'

const COUNT = 1000
/** Pages as a hash scatters them; each one's value is its number in the guest's memory. */
const table = sortedTable(Array.from({ length: COUNT }, (_, i) =>
  [Math.imul(i, 0x9e3779b1) >>> 0, Math.imul(i, 0x85ebca6b) >>> 0, i] as const))
const listed = { table, numberAt: (index: number) => table.valueAt(index) }
const nothing = { table: SortedTable.empty(), numberAt: () => 0 }
const isHere = (high: number): boolean => high % 3 === 0

function u32(...values: number[]): Buffer {
  const bytes = Buffer.alloc(values.length * 4)
  values.forEach((value, i) => bytes.writeUInt32BE(value, i * 4))
  return bytes
}

function pairs({ count, high, low }: Prefixes): [number, number][] {
  return Array.from({ length: count }, (_, i) => [high[i]!, low[i]!])
}

describe('what several guests hold together', () => {
  it('is each page once, in rising order, wherever it lies', () => {
    const one = sortedTable([[1, 0, 7], [2, 5, 8]])
    const other = sortedTable([[0, 9, 1], [2, 5, 2], [2, 6, 3]])
    const { table: both, numberAt } = listTogether([one, other, SortedTable.empty()])
    const held = Array.from({ length: both.size }, (_, index) => [both.highAt(index), both.lowAt(index)])
    assert.deepEqual(held, [[0, 9], [1, 0], [2, 5], [2, 6]])
    assert.equal(numberAt(2), 0)
    assert.equal(both.indexOf(2, 6), 3)
    assert.equal(listTogether([]).table.size, 0)
  })
})

describe('the census exchange', () => {
  it('agrees on what the destination has', async () => {
    const set = await listPages(table)
    assert.equal(set.prefixes.length, COUNT)
    const bitmap = await answerPages(set, isHere)
    assert.equal(bitmap.length, COUNT / 8)
    const expected: [number, number][] = []
    table.forEach((high, low) => { if (isHere(high)) expected.push([high, low]) })
    assert.deepEqual(pairs(await knownPages(table, set, bitmap)), expected)
  })

  it('asks the destination with the bits that travel', async () => {
    const set = await listPages(table)
    const asked = new Set<number>()
    await answerPages(set, (_high, _low, bits) => {
      asked.add(bits)
      return true
    })
    assert.deepEqual([...asked], [set.bits])
  })

  it('knows of nothing when the destination has nothing, or nothing was listed', async () => {
    const full = await listPages(table)
    assert.equal((await knownPages(table, full, await answerPages(full, () => false))).count, 0)
    const empty = await listPages(nothing.table)
    assert.equal((await knownPages(nothing.table, empty, new Uint8Array(0))).count, 0)
    assert.equal((await answerPages(empty, () => true)).length, 0)
  })

  it('refuses a bitmap of another size', async () => {
    const set = await listPages(table)
    for (const bytes of [0, COUNT / 8 - 1, COUNT / 8 + 1]) {
      await assert.rejects(() => knownPages(table, set, new Uint8Array(bytes)), { code: 'bad-frame', fault: 'peer' })
    }
  })

  it('lists pages that share their first bits once, and has them all or none', async () => {
    const twins = sortedTable([[5, 0x1000_0000, 0], [5, 0x1000_0001, 1], [6, 0, 2]])
    const set = await listPages(twins)
    assert.equal(set.prefixes.length, 2)
    const known = await knownPages(twins, set, await answerPages(set, (high) => high === 5))
    assert.deepEqual(pairs(known), [[5, 0x1000_0000], [5, 0x1000_0001]])
    assert.deepEqual(pairs(fetchedPages(twins, set, u32(0))), [[5, 0x1000_0000], [5, 0x1000_0001]])
    assert.deepEqual(pairs(fetchedPages(twins, set, u32(1))), [[6, 0]])
  })
})

describe('what the destination fetched since', () => {
  it('is known by its numbers', async () => {
    const set = await listPages(table)
    assert.deepEqual(pairs(fetchedPages(table, set, u32(0, 999))),
      [[table.highAt(0), table.lowAt(0)], [table.highAt(999), table.lowAt(999)]])
    assert.equal(fetchedPages(table, set, Buffer.alloc(0)).count, 0)
  })

  it('is refused with numbers that the census has not, and cut short', async () => {
    const set = await listPages(table)
    assert.throws(() => fetchedPages(table, set, u32(0, 1000)), { code: 'bad-frame', message: /not in the census/ })
    assert.throws(() => fetchedPages(table, set, u32(0).subarray(0, 3)), { code: 'bad-frame', message: /cut short/ })
  })
})

describe('the order of what the destination lacks', () => {
  it('says in which part of memory it is, and is taken from the end', async () => {
    const set = await listPages(table)
    const bitmap = await answerPages(set, isHere)
    const order = await orderOf(listed, set, bitmap)
    const numbers = [...await lastFirst(set.prefixes.length, bitmap, order)]
    const lacking = [...set.prefixes.keys()].filter((number) => !isHere(table.highAt(number)))
    assert.deepEqual(numbers.toSorted((one, other) => one - other), lacking)
    const parts = numbers.map((number) => Math.floor(2 ** 16 * table.valueAt(number) / COUNT))
    assert.deepEqual(parts, parts.toSorted((one, other) => other - one))
    assert.equal(parts[0], Math.floor(2 ** 16 * Math.max(...lacking.map((at) => table.valueAt(at))) / COUNT))
  })

  it('tells one part of 65536 from the next, rounded down, in a guest of more pages than that', async () => {
    const places = [0, 35_000, 70_000]
    const few = sortedTable(places.map((_, index) => [index + 1, 0, index] as const))
    const listedFew = { table: few, numberAt: (index: number) => places[index]! }
    const order = await orderOf(listedFew, await listPages(few), new Uint8Array(1))
    assert.deepEqual(places.map((_, place) => order.readUInt16BE(place * 2)), [0, 32_767, 65_535])
  })

  it('is refused if it is not one of so many', async () => {
    const set = await listPages(table)
    const bitmap = await answerPages(set, isHere)
    const order = await orderOf(listed, set, bitmap)
    for (const odd of [order.subarray(1), order.subarray(2), Buffer.concat([order, order])]) {
      const sorting = lastFirst(set.prefixes.length, bitmap, odd)
      await assert.rejects(sorting, { code: 'bad-frame', message: /wrong size/ })
    }
  })

  it('is empty where nothing is lacking', async () => {
    const set = await listPages(table)
    assert.equal((await orderOf(listed, set, await answerPages(set, () => true))).length, 0)
    assert.equal((await orderOf(nothing, await listPages(nothing.table), new Uint8Array(0))).length, 0)
    assert.equal((await lastFirst(0, new Uint8Array(0), Buffer.alloc(0))).length, 0)
  })
})

describe('an inventory', () => {
  it('is the outgoing end\'s side of the exchange', async () => {
    const inventory = new Inventory(listed)
    assert.deepEqual([inventory.pageCount, inventory.known.count], [COUNT, 0])
    const census = await decodePrefixSet(await inventory.encode())
    assert.deepEqual(census, await listPages(table))
    const bitmap = await answerPages(census, isHere)
    await inventory.answer(bitmap)
    assert.deepEqual(pairs(inventory.known), pairs(await knownPages(table, census, bitmap)))
    assert.deepEqual(await inventory.order(), await orderOf(listed, census, bitmap))
    assert.deepEqual(pairs(inventory.fetched(u32(7))), [[table.highAt(7), table.lowAt(7)]])
    await assert.rejects(() => inventory.answer(bitmap.subarray(1)), { code: 'bad-frame' })
    assert.deepEqual(await inventory.order(), await orderOf(listed, census, bitmap))
  })

  it('of a guest that was not scanned lists nothing', async () => {
    const inventory = new Inventory(undefined)
    await inventory.answer(new Uint8Array(0))
    assert.deepEqual([inventory.pageCount, inventory.known.count, (await inventory.order()).length], [0, 0, 0])
    assert.equal((await decodePrefixSet(await inventory.encode())).prefixes.length, 0)
  })
})
