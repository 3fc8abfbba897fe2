import { strict as assert } from 'node:assert'

import { blocksOf, findPlugged, sortMappings } from '../../../src/guest/managedblocks.ts'
import { parseMaps } from '../../../src/guest/maps.ts'

/** Two cells of 64 MiB, one a memfd, a graphics card's 16 MiB, and 32 MiB and 31 MiB of which nothing is said. */
const MAPPINGS = parseMaps(`7f9010000000-7f9014000000 rw-p 00000000 00:00 0
7f9014000000-7f9014001000 ---p 00000000 00:00 0
7f9007fff000-7f900bfff000 rw-s 00000000 00:01 9   /memfd:memory-backend-memfd (deleted)
7f900bfff000-7f900c000000 ---p 00000000 00:00 0
7f9020000000-7f9021000000 rw-p 00000000 00:00 0
7f9021000000-7f9021001000 ---p 00000000 00:00 0
7f9030000000-7f9032000000 rw-p 00000000 00:00 0
7f9032000000-7f9032001000 ---p 00000000 00:00 0
7f9040000000-7f9041f00000 rw-p 00000000 00:00 0
7f9041f00000-7f9041f01000 ---p 00000000 00:00 0
7f9050000000-7f9054000000 rw-p 00000000 00:00 0
`)
const CELL = 64 * 2 ** 20

describe('the memory of a guest that nobody is asked about', () => {
  it('is every mapping of a size that the command line says, with a guard page', () => {
    const { declared, perhaps } = sortMappings(MAPPINGS, [CELL])
    assert.deepEqual(declared.map(({ start }) => start), [0x7f9010000000n, 0x7f9007fff000n])
    assert.deepEqual(perhaps.map(({ start }) => start), [0x7f9030000000n])
    assert.deepEqual(sortMappings(MAPPINGS, []).declared, [])
  })

  it('is what was plugged in, by its flags', () => {
    const { perhaps } = sortMappings(MAPPINGS, [CELL])
    const plugged = (...flags: string[]): number =>
      findPlugged(perhaps, new Map([[0x7f9030000000n, new Set(flags)]])).length
    assert.equal(plugged('rd', 'wr', 'dc', 'dd'), 1)
    assert.equal(plugged('rd', 'wr', 'dc'), 1)
    assert.equal(plugged('rd', 'wr', 'dd'), 0)
    assert.equal(plugged('dc', 'io'), 0)
    assert.equal(plugged('dc', 'pf'), 0)
    assert.deepEqual(findPlugged(perhaps, new Map()), [])
  })

  it('is told in blocks, by their addresses', () => {
    assert.deepEqual(blocksOf(sortMappings(MAPPINGS, [CELL]).declared), [
      { name: 'ram0', bytes: CELL, address: 0x7f9007fff000n }, { name: 'ram1', bytes: CELL, address: 0x7f9010000000n },
    ])
  })
})
