import assert from 'node:assert/strict'

import { doOverlap, formatPortRange, isPortIn, parsePortRange } from '../../../src/net/portranges.ts'

describe('a range of ports', () => {
  it('is one port, or two with a dash between them', () => {
    assert.deepEqual(parsePortRange('49152-49215'), { first: 49_152, last: 49_215 })
    assert.deepEqual(parsePortRange('1024-65535'), { first: 1024, last: 65_535 })
    assert.deepEqual(parsePortRange('8102-8102'), { first: 8102, last: 8102 })
    for (const one of [8102, '8102']) assert.deepEqual(parsePortRange(one), { first: 8102, last: 8102 })
  })

  it('is nothing else', () => {
    const wrong = [
      '', '-', '1024-', '-1024', '2000-1999', '1023', 1023, 65_536, '65535-65536', '1024-65536', '1e4', '0x1000',
      ' 8102', '8102 ', '8102\n', '8102-8103-8104',
      '008102', -8102, 8102.5, NaN, null, undefined, true, [8102], {}, '８１０２',
    ]
    for (const text of wrong) assert.equal(parsePortRange(text), undefined, JSON.stringify(text))
  })

  it('has its ports, both ends among them', () => {
    const ranges = [{ first: 2000, last: 2002 }, { first: 3000, last: 3000 }]
    const had = [1999, 2000, 2001, 2002, 2003, 2999, 3000, 3001].filter((port) => isPortIn(ranges, port))
    assert.deepEqual(had, [2000, 2001, 2002, 3000])
    assert.equal(isPortIn([], 2000), false)
    assert.deepEqual(ranges.map(formatPortRange), ['2000-2002', '3000'])
  })

  it('overlaps with another that has one of its ports, in whatever order they stand', () => {
    const range = { first: 2000, last: 2002 }
    for (const [first, last] of [[2002, 2003], [1990, 2000], [2001, 2001], [2000, 2002]] as const) {
      const other = { first, last }
      assert.ok(doOverlap([range, other]) && doOverlap([other, range]))
    }
    assert.equal(doOverlap([{ first: 2003, last: 2004 }, range, { first: 1999, last: 1999 }]), false)
    assert.equal(doOverlap([]), false)
  })
})
