import assert from 'node:assert/strict'
import fc from 'fast-check'

import { setBit } from '../../../src/bytes/bits.ts'
import { PageColumns, SortedTable, TableMerge } from '../../../src/page/index.ts'
import { sortedTable } from '../../support/sortedtables.ts'

const word = fc.nat(0xffff_ffff)
/** Spread evenly, as ids are; or crowded, so that halves and whole prefixes meet. */
const prefix = fc.oneof(fc.tuple(word, word), fc.tuple(fc.nat(3), fc.nat(3)), fc.tuple(fc.constant(0xffff_ffff), word))
const entries = fc.array(fc.tuple(prefix, word), { maxLength: 300 })

type Entry = [high: number, low: number, value: number]

function flat(list: readonly (readonly [readonly [number, number], number])[]): Entry[] {
  return list.map(([[high, low], value]) => [high, low, value])
}

/** What the table must hold, in its order. */
function modelOf(list: readonly Entry[]): Entry[] {
  const model = new Map<string, Entry>()
  for (const entry of list) {
    const key = `${entry[0]}.${entry[1]}`
    if ((model.get(key)?.[2] ?? Infinity) > entry[2]) model.set(key, entry)
  }
  return [...model.values()].sort((a, b) => a[0] - b[0] || a[1] - b[1])
}

function listOf(table: SortedTable): Entry[] {
  const list: Entry[] = []
  table.forEach((...entry) => list.push(entry))
  return list
}

function randomColumns(count: number): PageColumns {
  const columns = new PageColumns(count)
  // A full period of a generator of 64 bits would do as well: what counts is that the halves are spread evenly.
  let state = 1
  const next = (): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return Math.imul(state ^ (state >>> 15), 0x85eb_ca6b) >>> 0
  }
  for (let i = 0; i < count; i++) columns.push(next(), next(), i)
  return columns
}

describe('a sorted table', () => {
  it('holds what a map holds, in rising order, and the smallest value of each prefix', () => {
    fc.assert(fc.property(entries, fc.array(prefix, { maxLength: 50 }), (given, others) => {
      const model = modelOf(flat(given))
      const table = SortedTable.adopt(sortedTable(flat(given)).release())
      assert.deepEqual(listOf(table), model)
      assert.equal(table.size, model.length)
      for (const [high, low] of [...model.map(([high, low]) => [high, low] as const), ...others]) {
        const index = model.findIndex((entry) => entry[0] === high && entry[1] === low)
        assert.equal(table.indexOf(high, low), index)
        assert.equal(table.get(high, low), index === -1 ? -1 : model[index]![2])
        const below = model.filter((entry) => entry[0] < high || (entry[0] === high && entry[1] < low)).length
        assert.equal(table.firstFrom(high, low), below)
      }
    }))
  })

  it('finds an entry by fewer bits, and nothing where there is none', () => {
    fc.assert(fc.property(entries, prefix, fc.integer({ min: 32, max: 64 }), (given, [high, low], bits) => {
      const table = sortedTable(flat(given))
      const shift = BigInt(64 - bits)
      const first = (entryHigh: number, entryLow: number): bigint =>
        ((BigInt(entryHigh) << 32n) | BigInt(entryLow)) >> shift
      const matching = modelOf(flat(given)).filter((entry) => first(entry[0], entry[1]) === first(high, low))
      const found = table.getByBits(high, low, bits)
      assert.equal(found === -1, matching.length === 0)
      if (found !== -1) assert.ok(matching.some((entry) => entry[2] === found))
    }))
  })

  it('leaves out what it is told to', () => {
    fc.assert(fc.property(entries, fc.infiniteStream(fc.boolean()), (given, choices) => {
      const table = sortedTable(flat(given))
      const bits = new Uint8Array(Math.ceil(table.size / 8))
      const kept = listOf(table).filter((_, index) => {
        const isKept = choices.next().value === true
        if (isKept) setBit(bits, index)
        return isKept
      })
      const subset = table.subset(bits, kept.length)
      assert.deepEqual(listOf(subset), kept)
      for (const [high, low, value] of kept) assert.equal(subset.get(high, low), value)
    }))
  })

  it('takes no more than it said it would', () => {
    for (const count of [0, 1, 7, 8, 9, 100, 1000, 65_536, 100_001]) {
      const { bytes } = SortedTable.from(randomColumns(count))
      assert.ok(SortedTable.entriesIn(bytes, 1) <= count, `${count} entries take ${bytes} bytes`)
      assert.ok(bytes <= 13 * count + 16)
    }
    assert.equal(SortedTable.entriesIn(0, 3), 0)
  })

  it('is made of a million pages within a moment, also when most of them are the same', () => {
    const columns = randomColumns(1_000_000)
    const before = process.cpuUsage()
    assert.equal(SortedTable.from(columns).size, 1_000_000)
    for (let i = 0; i < columns.count; i++) {
      if (i % 10 !== 0) columns.high[i] = columns.low[i] = 77
      columns.values[i] = (columns.count - i) % 2 === 0 ? i : i + 2 ** 31
    }
    const table = SortedTable.from(columns)
    assert.equal(table.size, 100_001)
    assert.equal(table.get(77, 77), 2)
    // It takes 0.1 s of the processor, however busy the machine is; were it quadratic, it would take minutes.
    assert.ok(process.cpuUsage(before).user < 5_000_000)
  }).timeout(20_000)

  it('finds its way among very many that begin alike', () => {
    const crowded = Array.from({ length: 400 }, (_, i): Entry => [7 + Math.floor(i / 150), i % 150 * 10, i])
    const table = sortedTable([[1, 5, 1000], ...crowded, [0xffff_ffff, 5, 1001]])
    assert.deepEqual([table.firstFrom(1, 5), table.firstFrom(1, 6), table.firstFrom(0)], [0, 1, 0])
    crowded.forEach(([high, low, value], i) => {
      assert.equal(table.firstFrom(high, low), i + 1)
      assert.equal(table.firstFrom(high, low + 1), i + 2)
      assert.equal(table.get(high, low), value)
      assert.equal(table.get(high, low + 1), -1)
    })
    assert.equal(table.firstFrom(9, 100_000), 401)
  })

  it('says to the byte what it takes, and how many entries find room', () => {
    assert.equal(SortedTable.from(randomColumns(100)).bytes, 100 * 12 + 17 * 4)
    assert.deepEqual([SortedTable.empty().bytes, SortedTable.empty().size], [12, 0])
    assert.equal(SortedTable.entriesIn(1316, 1), 100)
    assert.equal(SortedTable.entriesIn(1315, 1), 99)
    assert.equal(SortedTable.entriesIn(1316, 14), 84)
  })

  it('is empty once it was handed on', () => {
    const table = sortedTable([[1, 2, 3], [0xffff_ffff, 4, 5]])
    const columns = table.release()
    assert.deepEqual([table.size, table.bytes, listOf(table)], [0, 12, []])
    assert.deepEqual([table.get(1, 2), table.firstFrom(0xffff_ffff), table.firstFrom(0)], [-1, 0, 0])
    assert.equal(SortedTable.adopt(columns).get(0xffff_ffff, 4), 5)
    assert.equal(SortedTable.fromRising({ high: columns.high, low: columns.low, values: columns.values }).get(1, 2), 3)
  })

  it('is made of columns of one length, and of as many as are said to be left', () => {
    const table = sortedTable([[1, 2, 3], [2, 2, 4]])
    assert.throws(() => table.subset(Uint8Array.of(0b11), 1), /as many bits/)
    const { high, low, values, starts } = sortedTable([[1, 2, 3]]).release()
    assert.throws(() => SortedTable.adopt({ high, low, values: new Uint32Array(2), starts }), /one length/)
    assert.throws(() => SortedTable.adopt({ high, low: new Uint32Array(0), values, starts }), /one length/)
  })

  it('takes signed halves for the same ones', () => {
    const table = sortedTable([[0xffff_fff0, 0xffff_fff1, 3]])
    assert.deepEqual([table.get(-16, -15), table.indexOf(-16, -15), table.getByBits(-16, -15, 64)], [3, 0, 3])
  })
})

describe('tables side by side', () => {
  it('go from the least prefix to the greatest unless they are told less', () => {
    const merge = new TableMerge([sortedTable([[0, 5, 1], [0xffff_ffff, 6, 2]])])
    assert.equal(merge.next(), true)
    assert.deepEqual([merge.high, merge.low, merge.holders], [0, 5, 1])
    assert.equal(merge.next(), true)
    assert.deepEqual([merge.high, merge.low], [0xffff_ffff, 6])
    assert.equal(merge.next(), false)
  })

  it('tell each page once, with all who hold it, in rising order', () => {
    fc.assert(fc.property(fc.array(entries, { maxLength: 6 }), word, word, (lists, a, b) => {
      const [firstHigh, lastHigh] = [Math.min(a, b), Math.max(a, b)]
      for (const range of [[0, 0xffff_ffff], [firstHigh, lastHigh], [0, 3], [2, 2]] as const) {
        const tables = lists.map((list) => sortedTable(flat(list)))
        const merge = new TableMerge(tables, ...range)
        const pages: [number, number][] = []
        while (merge.next()) {
          pages.push([merge.high, merge.low])
          const holders = [...merge.tableOf.subarray(0, merge.holders)]
          const indices = [...merge.indexOf.subarray(0, merge.holders)]
          const held = tables.map((table) => table.indexOf(merge.high, merge.low))
          assert.deepEqual(new Map(holders.map((table, i) => [table, indices[i]])),
            new Map(held.flatMap((index, table) => (index === -1 ? [] : [[table, index]]))))
        }
        const all = modelOf(lists.flatMap((list) => flat(list)))
          .filter(([high]) => high >= range[0] && high <= range[1])
        assert.deepEqual(pages, all.map(([high, low]) => [high, low]))
      }
    }), { numRuns: 60 })
  })
})
