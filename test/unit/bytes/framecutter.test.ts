import assert from 'node:assert/strict'
import fc from 'fast-check'

import { FrameCutter } from '../../../src/bytes/framecutter.ts'

const HEAD_BYTES = 3

/** A frame as these tests have them: two bytes of length, a mark, the body. */
function frame(mark: number, body: Uint8Array): Buffer {
  return Buffer.concat([Buffer.from([body.length >> 8, body.length & 0xff, mark]), body])
}

function cutter(onFrame: (head: Buffer, body: Buffer) => void): FrameCutter {
  return new FrameCutter({ headBytes: HEAD_BYTES, bodyBytesOf: (head) => head.readUInt16BE(0), onFrame })
}

describe('frames out of arriving bytes', () => {
  it('come out as they went in, whatever pieces they came in', () => {
    const frames = fc.array(fc.tuple(fc.nat(255), fc.uint8Array({ maxLength: 40 })), { maxLength: 8 })
    const cuts = fc.array(fc.integer({ min: 0, max: 30 }), { minLength: 1 })
      .filter((list) => list.some((cut) => cut > 0))
    fc.assert(fc.property(frames, cuts, (list, pieces) => {
      const bytes = Buffer.concat(list.map(([mark, body]) => frame(mark, body)))
      const bodies: Buffer[] = []
      const came: [number, number[]][] = []
      const cut = cutter((head, body) => {
        assert.equal(head.length, HEAD_BYTES)
        bodies.push(body)
        came.push([head[2]!, [...body]])
      })
      for (let at = 0, piece = 0; at < bytes.length; piece++) {
        const end = at + pieces[piece % pieces.length]!
        const copy = Buffer.from(bytes.subarray(at, end))
        cut.push(copy)
        // Whoever hands bytes over may use that memory again.
        copy.fill(0xee)
        at = end
      }
      assert.deepEqual(came, list.map(([mark, body]) => [mark, [...body]]))
      assert.deepEqual(bodies.map((body) => [...body]), list.map(([, body]) => [...body]), 'each has its own memory')
      assert.equal(cut.isMidway, false)
    }))
  })

  it('are midway from their first byte to their last', () => {
    let count = 0
    const cut = cutter(() => { count += 1 })
    assert.equal(cut.isMidway, false)
    for (const byte of [...frame(1, Buffer.from('ab'))].slice(0, -1)) {
      cut.push(Uint8Array.of(byte))
      assert.deepEqual([cut.isMidway, count], [true, 0])
    }
    cut.push(Buffer.from('b'))
    assert.deepEqual([cut.isMidway, count], [false, 1])
    cut.push(new Uint8Array(0))
    assert.equal(cut.isMidway, false)
  })

  it('are refused by their head, before anything of the body is kept', () => {
    const refusing = new FrameCutter({
      headBytes: 2, bodyBytesOf: () => { throw new Error('too long') }, onFrame: () => assert.fail(),
    })
    refusing.push(Uint8Array.of(1))
    assert.throws(() => refusing.push(Uint8Array.of(2)), /too long/)
  })
})
