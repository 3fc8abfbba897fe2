/** Deliberately damaged messages of the swap protocol: decoded to values within bounds, or refused. */
import assert from 'node:assert/strict'
import fc from 'fast-check'

import { pack, PAGE_BYTES } from '../../src/page/index.ts'
import { checkAnswer } from '../../src/swap/arrival.ts'
import { AnswerReader, decodeAnswer, encodeBusy, encodePagesHead, type Answer } from '../../src/swap/frames.ts'
import { LIMITS } from '../../src/swap/limits.ts'
import {
  decodeAskerMessage, decodeHolderMessage, encodeHello, encodeShut, encodeSlice, encodeTicket, encodeWant,
} from '../../src/swap/wire.ts'
import { hasher, MadePages, range } from '../support/madeswap.ts'
import { unlessRefused } from './refused.ts'

const RUNS = 1500
const pages = new MadePages(20)
const prefixes = pages.prefixes(range(20))

function damaged(messages: readonly Uint8Array[]): fc.Arbitrary<Buffer> {
  const place = fc.double({ min: 0, max: 1, noNaN: true })
  const flip = fc.record({ at: place, bit: fc.nat(7) })
  const wound = fc.record({ at: place, removed: fc.nat(10), added: fc.uint8Array({ maxLength: 12 }) })
  const wounds = fc.array(wound, { maxLength: 2 })
  const changed = fc.tuple(fc.constantFrom(...messages), wounds, fc.array(flip, { maxLength: 4 }))
    .map(([message, wounds, flips]) => {
      // Heads are at the start: damage is more frequent there.
      const bytes = wounds.reduce((before, { at, removed, added }) => {
        const from = Math.floor(at ** 3 * before.length)
        return Buffer.concat([before.subarray(0, from), added, before.subarray(from + removed)])
      }, Buffer.from(message))
      for (const { at, bit } of flips) if (bytes.length > 0) bytes[Math.floor(at ** 3 * bytes.length)]! ^= 1 << bit
      return bytes
    })
  const random = fc.uint8Array({ maxLength: 3000 }).map((bytes) => Buffer.from(bytes))
  return fc.oneof({ weight: 6, arbitrary: changed }, random)
}

describe('damaged messages', () => {
  it('of an asker are within bounds, or refused', () => {
    const messages = [encodeHello('handoff'), encodeWant(7, prefixes)]
    fc.assert(fc.property(damaged(messages), (bytes) => {
      const message = unlessRefused('bad-swap', () => decodeAskerMessage(bytes))
      if (message?.kind !== 'want') return
      const { count, high, low } = message.prefixes
      assert.ok(count >= 1 && count <= LIMITS.pagesPerWant && high.length === count && low.length === count)
    }), { numRuns: RUNS })
  })

  it('of a holder are within bounds, or refused', () => {
    const ticket = encodeTicket({ address: '10.0.0.1:4002', id: '01'.repeat(16), key: '02'.repeat(32) })
    const messages = [ticket, encodeShut(true), encodeSlice(encodeBusy(3))]
    fc.assert(fc.property(damaged(messages), (bytes) => {
      const message = unlessRefused('bad-swap', () => decodeHolderMessage(bytes))
      if (message?.kind === 'lane') assert.ok(message.ticket.address.length > 0 && message.ticket.address.length < 1024)
      if (message?.kind === 'slice') assert.ok(message.bytes.length > 0)
    }), { numRuns: RUNS })
  })

  it('with pages yield only right pages, or none', async () => {
    const bitmap = Uint8Array.of(0xff, 0xff, 0x0f)
    const packed = await pack(pages.bytes)
    const some = await pack(pages.bytes.subarray(0, 2 * PAGE_BYTES))
    const frames = [
      Buffer.concat([encodePagesHead(1, 20, bitmap, packed.length), packed]),
      Buffer.concat([encodePagesHead(2, 20, Uint8Array.of(3, 0, 0), some.length), some]),
      Buffer.concat([encodeBusy(1), encodePagesHead(3, 20, new Uint8Array(3), 0)]),
    ]
    fc.assert(fc.property(damaged(frames), (bytes) => {
      const came: Answer[] = []
      const reader = new AnswerReader((body) => came.push(decodeAnswer(body)))
      unlessRefused('bad-swap', () => reader.push(bytes))
      for (const answer of came) {
        if (answer.status !== 'pages' || answer.count !== prefixes.count) continue
        const checked = unlessRefused('bad-frame', () => checkAnswer(answer, prefixes, hasher))
        if (checked === undefined) continue
        const { right, lacking, wrong } = checked
        assert.equal(right.length + lacking.length + wrong.length, prefixes.count)
        right.forEach((place, page) => {
          const own = checked.bytes.subarray(page * PAGE_BYTES, (page + 1) * PAGE_BYTES)
          assert.ok(own.equals(pages.page(place)))
        })
      }
    }), { numRuns: RUNS })
  })
})
