import assert from 'node:assert/strict'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

import { LineCutter } from '../../../src/bytes/linecutter.ts'

/** Memory in use once there is no garbage. */
function heldBytes(): number {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  collect()
  const { heapUsed, arrayBuffers } = process.memoryUsage()
  return heapUsed + arrayBuffers
}

describe('a line cutter', () => {
  it('finds the same lines whatever the pieces', () => {
    const bytes = Buffer.from('one\n\ntwo \u00e9\u00e8\nrest')
    for (let pieceBytes = 1; pieceBytes <= bytes.length; pieceBytes += 1) {
      const cutter = new LineCutter(10)
      const lines: string[] = []
      for (let start = 0; start < bytes.length; start += pieceBytes) {
        const found = cutter.push(bytes.subarray(start, start + pieceBytes))
        assert.ok(found !== 'too-long')
        lines.push(...found)
      }
      assert.deepEqual(lines, ['one', '', 'two \u00e9\u00e8'])
    }
  })

  it('takes a line of just the limit and none longer, ended or not', () => {
    assert.deepEqual(new LineCutter(4).push(Buffer.from('four\n')), ['four'])
    assert.equal(new LineCutter(4).push(Buffer.from('fiver\n')), 'too-long')
    const cutter = new LineCutter(4)
    assert.deepEqual(cutter.push(Buffer.from('fou')), [])
    assert.equal(cutter.push(Buffer.from('rth')), 'too-long')
  })

  it('keeps an unfinished line in about as much memory as it has bytes, even if they come one by one', () => {
    const bytes = 2 ** 20
    const cutter = new LineCutter(bytes)
    const one = Buffer.from('a')
    const before = heldBytes()
    for (let count = 0; count < bytes; count++) assert.ok(cutter.push(one) !== 'too-long')
    const grown = heldBytes() - before
    assert.ok(grown < 8 * bytes, `${grown} bytes for ${bytes}`)
    assert.deepEqual(cutter.push(Buffer.from('\n')), ['a'.repeat(bytes)])
  })

  it('takes no memory for bytes that may still come', () => {
    const before = process.memoryUsage().arrayBuffers
    const cutters = Array.from({ length: 20 }, () => new LineCutter(2 ** 24))
    for (const cutter of cutters) assert.deepEqual(cutter.push(Buffer.from('a')), [])
    const grown = process.memoryUsage().arrayBuffers - before
    assert.ok(grown < 2 ** 22, `${grown} bytes for ${cutters.length}`)
  })

  it('counts each line anew', () => {
    const cutter = new LineCutter(4)
    for (let time = 0; time < 3; time++) assert.deepEqual(cutter.push(Buffer.from('four\n')), ['four'])
    assert.deepEqual(cutter.push(Buffer.from('fo')), [])
    assert.deepEqual(cutter.push(Buffer.from('ur\nfour\n')), ['four', 'four'])
  })

  it('keeps nothing that whoever hands it over may use again', () => {
    const cutter = new LineCutter(10)
    const bytes = Buffer.from('one\ntw')
    assert.deepEqual(cutter.push(bytes), ['one'])
    bytes.fill(0xee)
    assert.deepEqual(cutter.push(Buffer.from('o\n')), ['two'])
  })
})
