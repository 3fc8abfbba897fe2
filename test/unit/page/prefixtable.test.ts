import assert from 'node:assert/strict'
import fc from 'fast-check'

import { PrefixTable } from '../../../src/page/index.ts'

const word = fc.nat(0xffff_ffff)

describe('a prefix table', () => {
  it('answers like a map, while it grows and after it has travelled', () => {
    fc.assert(fc.property(fc.array(fc.tuple(word, word), { maxLength: 400, size: 'max' }), (prefixes) => {
      const model = new Map<string, number>()
      const table = new PrefixTable()
      prefixes.forEach(([high, low], i) => {
        const key = `${high}.${low}`
        assert.equal(table.add(high, low, i), !model.has(key))
        if (!model.has(key)) model.set(key, i)
      })
      const travelled = PrefixTable.adopt(table.release())
      assert.equal(travelled.size, model.size)
      for (const [high, low] of prefixes) assert.equal(travelled.get(high, low), model.get(`${high}.${low}`))
      let visited = 0
      travelled.forEach((high, low, value) => {
        visited += 1
        assert.equal(value, model.get(`${high}.${low}`))
      })
      assert.equal(visited, model.size)
    }))
  })

  it('finds an entry by fewer bits, and nothing where there is none', () => {
    const table = new PrefixTable(100)
    table.add(0xdeadbeef, 0xcafe0001, 7)
    assert.equal(table.getByBits(0xdeadbeef, 0xcafe0000, 48), 7)
    assert.equal(table.getByBits(0xdeadbeef, 0x12345678, 32), 7)
    assert.equal(table.getByBits(0xdeadbeef, 0xcafe0002, 64), -1)
    assert.equal(table.getByBits(0xdeadbeee, 0xcafe0001, 40), -1)
    assert.equal(table.get(1, 2), -1)
  })

  it('tells prefixes apart by every bit', () => {
    const table = new PrefixTable()
    table.add(0x1234_5678, 0x9abc_def0, 5)
    for (let bit = 0; bit < 32; bit++) {
      assert.equal(table.get((0x1234_5678 ^ 2 ** bit) >>> 0, 0x9abc_def0), -1, `bit ${bit} of the first half`)
      assert.equal(table.get(0x1234_5678, (0x9abc_def0 ^ 2 ** bit) >>> 0), -1, `bit ${bit} of the second half`)
    }
    assert.equal(table.get(0x1234_5678, 0x9abc_def0), 5)
  })

  it('takes 16 to 32 bytes an entry once it has some', () => {
    const table = new PrefixTable()
    for (let i = 0; i < 100_000; i++) table.add(Math.imul(i, 0x9e3779b1) >>> 0, i, i)
    assert.equal(table.size, 100_000)
    assert.ok(table.bytes / table.size >= 16 && table.bytes / table.size <= 32)
  })

  it('tells prefixes apart of which one half is the same, however many there are', () => {
    const table = new PrefixTable()
    const halves = Array.from({ length: 20 }, (_, i) => (0xffff_fff0 + i) >>> 0)
    for (const high of halves) {
      for (const low of halves) assert.equal(table.add(high, low, high % 100 * 100 + low % 100), true)
    }
    for (const high of halves) {
      for (const low of halves) {
        assert.equal(table.get(high, low), high % 100 * 100 + low % 100)
        assert.equal(table.get(high | 0, low | 0), high % 100 * 100 + low % 100, 'signed halves are the same ones')
        assert.equal(table.add(high, low, 5), false)
      }
      assert.equal(table.get(high, 77), -1)
      assert.equal(table.getByBits(high, 77, 64), -1)
    }
    assert.equal(table.size, halves.length ** 2)
  })

  it('goes on from its last slot to its first', () => {
    const table = new PrefixTable()
    for (let low = 0; low < 6; low++) table.add(0xffff_ffff, low, low)
    table.add(0, 9, 9)
    for (let low = 0; low < 6; low++) {
      assert.equal(table.get(0xffff_ffff, low), low)
      assert.equal(table.getByBits(-1, low, 64), low)
    }
    assert.equal(table.get(0, 9), 9)
    assert.equal(table.getByBits(0, 9, 64), 9)
    assert.equal(table.getByBits(0xffff_ffff, 5, 32), 0, 'the first one that was added')
    assert.equal(table.getByBits(0xffff_ffff, 6, 64), -1)
  })

  it('compares as many bits as are said, from 32 to 64', () => {
    for (let bits = 32; bits <= 64; bits++) {
      const table = new PrefixTable()
      table.add(0x1234_5678, 0xffff_ffff, 1)
      const behind = (0xffff_ffff_ffff_ffffn >> BigInt(bits)) & 0xffff_ffffn
      const sameStart = Number(0xffff_ffffn ^ behind)
      assert.equal(table.getByBits(0x1234_5678, sameStart, bits), 1, `${bits} bits`)
      if (bits === 32) continue
      const otherStart = Number(0xffff_ffffn ^ (1n << BigInt(64 - bits)))
      assert.equal(table.getByBits(0x1234_5678, otherStart, bits), -1, `the last of ${bits} bits differs`)
    }
  })

  it('is three quarters full at most, and grows to twice its size', () => {
    assert.deepEqual([0, 11, 12, 23, 24].map((count) => new PrefixTable(count).bytes / 12), [16, 16, 32, 32, 64])
    const table = new PrefixTable()
    const slots: number[] = []
    for (let i = 0; i < 50; i++) {
      table.add(i * 0x0400_0000, i, i)
      slots.push(table.bytes / 12)
    }
    assert.deepEqual([11, 12, 23, 24, 47, 48].map((index) => slots[index]), [16, 32, 32, 64, 64, 128])
  })
})
