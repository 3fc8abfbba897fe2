import assert from 'node:assert/strict'
import fc from 'fast-check'

import { PrefixTable } from '../../../src/page/index.ts'

const word = fc.nat(0xffff_ffff)

describe('a prefix table', () => {
  it('answers like a map, while it grows and after it has travelled', () => {
    fc.assert(fc.property(fc.array(fc.tuple(word, word), { maxLength: 400 }), (prefixes) => {
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

  it('takes 16 to 32 bytes an entry once it has some', () => {
    const table = new PrefixTable()
    for (let i = 0; i < 100_000; i++) table.add(Math.imul(i, 0x9e3779b1) >>> 0, i, i)
    assert.equal(table.size, 100_000)
    assert.ok(table.bytes / table.size >= 16 && table.bytes / table.size <= 32)
  })
})
