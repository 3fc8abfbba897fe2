import assert from 'node:assert/strict'
import fc from 'fast-check'

import { setBit } from '../../../src/bytes/bits.ts'
import { PAGE_BYTES } from '../../../src/page/index.ts'
import { AnswerReader, decodeAnswer, encodeBusy, encodePagesHead, type Answer } from '../../../src/swap/frames.ts'
import {
  decodeAskerMessage, decodeHolderMessage, encodeHello, encodeShut, encodeSlice, encodeTicket, encodeWant,
} from '../../../src/swap/wire.ts'

const isBad = { code: 'bad-swap' }

describe('messages of the swap protocol', () => {
  it('come out as they went in', () => {
    const columns = fc.array(fc.tuple(fc.nat(0xffff_ffff), fc.nat(0xffff_ffff)), { minLength: 1, maxLength: 256 })
    fc.assert(fc.property(fc.nat(0xffff_ffff), columns, (sequence, rows) => {
      const prefixes = {
        count: rows.length,
        high: Uint32Array.from(rows, ([high]) => high),
        low: Uint32Array.from(rows, ([, low]) => low),
      }
      assert.deepEqual(decodeAskerMessage(encodeWant(sequence, prefixes)), { kind: 'want', sequence, prefixes })
    }))
    for (const purpose of ['placement', 'handoff'] as const) {
      assert.deepEqual(decodeAskerMessage(encodeHello(purpose)), { kind: 'hello', purpose })
    }
    const ticket = { address: '10.0.0.1:4002', id: '00'.repeat(16), key: 'fe'.repeat(32) }
    assert.deepEqual(decodeHolderMessage(encodeTicket(ticket)), { kind: 'lane', ticket })
    assert.deepEqual(decodeHolderMessage(encodeShut(true)), { kind: 'shut' })
    assert.deepEqual(decodeHolderMessage(encodeShut(false)), { kind: 'open' })
    assert.deepEqual(decodeHolderMessage(encodeSlice(Uint8Array.of(5))), { kind: 'slice', bytes: Uint8Array.of(5) })
  })

  it('of an asker are refused in another version, for another purpose, and at every wrong length', () => {
    const hello = encodeHello('placement')
    assert.deepEqual([...hello], [1, 1, 1])
    const prefix = [0, 0, 0, 1, 0, 0, 0, 2]
    for (const [what, bytes] of [
      ['version 0', [1, 0, 1]], ['version 2', [1, 2, 1]], ['purpose 0', [1, 1, 0]], ['purpose 3', [1, 1, 3]],
      ['a short greeting', [1, 1]], ['a long greeting', [1, 1, 1, 0]], ['no message', []], ['no kind', [3, 1, 1]],
      ['no prefix', [2, 0, 0, 0, 1]], ['half a prefix', [2, 0, 0, 0, 1, ...prefix.slice(4)]],
      ['too many', [2, 0, 0, 0, 1, ...Array.from({ length: 257 }, () => prefix).flat()]],
    ] as const) {
      assert.throws(() => decodeAskerMessage(Uint8Array.from(bytes)), isBad, what)
    }
  })

  it('of a holder are refused when they are cut short or too long', () => {
    const ticket = encodeTicket({ address: 'a:1', id: '00'.repeat(16), key: 'fe'.repeat(32) })
    for (let length = 0; length < ticket.length - 3; length++) {
      assert.throws(() => decodeHolderMessage(ticket.subarray(0, length)), isBad, `${length}`)
    }
    for (const bytes of [[], [0], [1], [3, 1], [4, 1], [5]]) {
      assert.throws(() => decodeHolderMessage(Uint8Array.from(bytes)), isBad)
    }
    assert.throws(() => decodeHolderMessage(Buffer.concat([ticket, Buffer.alloc(2000, 65)])), isBad)
  })
})

describe('frames of answers', () => {
  it('come out as they went in, whatever pieces they come in', () => {
    const bits = fc.array(fc.boolean(), { minLength: 1, maxLength: 256 })
    const answer = fc.tuple(fc.nat(0xffff_ffff), fc.option(bits), fc.nat(60))
    const pieces = fc.array(fc.integer({ min: 1, max: 90 }), { minLength: 1 })
    fc.assert(fc.property(fc.array(answer, { maxLength: 6 }), pieces,
      (list, cuts) => {
        const expected: Answer[] = []
        const run = Buffer.concat(list.map(([sequence, has, bytes]) => {
          if (has === null) {
            expected.push({ status: 'busy', sequence })
            return encodeBusy(sequence)
          }
          const bitmap = new Uint8Array(Math.ceil(has.length / 8))
          has.forEach((isHad, place) => { if (isHad) setBit(bitmap, place) })
          const packed = Buffer.alloc(has.includes(true) ? bytes + 1 : 0, 7)
          expected.push({ status: 'pages', sequence, count: has.length, bitmap: Buffer.from(bitmap), packed })
          return Buffer.concat([encodePagesHead(sequence, has.length, bitmap, packed.length), packed])
        }))
        const came: Answer[] = []
        const reader = new AnswerReader((body) => came.push(decodeAnswer(body)))
        for (let at = 0, cut = 0; at < run.length; cut++) {
          const length = cuts[cut % cuts.length]!
          reader.push(run.subarray(at, at + length))
          at += length
          assert.equal(reader.isMidway, at < run.length && reader.isMidway)
        }
        assert.deepEqual(came, expected)
        assert.equal(reader.isMidway, false)
      }))
  })

  it('are refused beyond each limit', () => {
    const head = (count: number, bitmap: Uint8Array, packedBytes: number): Buffer =>
      Buffer.concat([encodePagesHead(1, count, bitmap, packedBytes).subarray(4), Buffer.alloc(packedBytes)])
    decodeAnswer(head(3, Uint8Array.of(0b101), 2 * PAGE_BYTES))
    for (const [what, body] of [
      ['no body', Buffer.alloc(0)],
      ['a status of no kind', Buffer.from([7, 0, 0, 0, 1])],
      ['more behind a busy', Buffer.from([2, 0, 0, 0, 1, 0])],
      ['no page', head(0, new Uint8Array(0), 0)],
      ['too many pages', head(257, new Uint8Array(33), 0)],
      ['a bitmap cut short', Buffer.from([1, 0, 0, 0, 1, 0, 9, 0])],
      ['pages beyond the count', head(3, Uint8Array.of(0b1000), 10)],
      ['more bytes than the pages have', head(3, Uint8Array.of(0b101), 2 * PAGE_BYTES + 1)],
      ['pages without bytes', head(3, Uint8Array.of(0b101), 0)],
      ['bytes without pages', head(3, Uint8Array.of(0), 1)],
    ] as const) {
      assert.throws(() => decodeAnswer(body), isBad, what)
    }
    for (const bodyBytes of [0, 4, 256 * PAGE_BYTES + 40, 0xffff_ffff]) {
      const length = Buffer.alloc(4)
      length.writeUInt32BE(bodyBytes)
      assert.throws(() => new AnswerReader(() => assert.fail()).push(length), isBad, `${bodyBytes}`)
    }
  })
})
