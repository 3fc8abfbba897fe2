/** What tells of pages or carries them: passages, the exchange of a census, swap, possession, popularity, the store. */
import assert from 'node:assert/strict'

import {
  answerPages, decodePrefixSet, encodePrefixSet, fetchedPages, lastFirst, packNow, PAGE_BYTES, PREFIX_SET_LIMITS,
  SortedTable, unpack,
} from '../../../src/page/index.ts'
import { knownPages } from '../../../src/page/inventory.ts'
import { Decoder, unpackBatch } from '../../../src/passage/decoder.ts'
import { frameHeader, FrameReader } from '../../../src/passage/frames.ts'
import { PASSAGE_FRAMES } from '../../../src/passage/wire.ts'
import {
  decodeAnswer as decodePossession, decodeChallenge, encodeAnswer, encodeChallenge,
} from '../../../src/possession/proof.ts'
import {
  decodeHead, encodeHead, HEAD_BYTES, RECORD_BYTES, RECORD_WORDS, writeRecord,
} from '../../../src/store/format.ts'
import { loadRecords } from '../../../src/store/opening.ts'
import { Slots } from '../../../src/store/slots.ts'
import { SlotTable } from '../../../src/store/slottable.ts'
import { checkAnswer } from '../../../src/swap/arrival.ts'
import { AnswerReader, decodeAnswer, encodeBusy, encodePagesHead, type Answer } from '../../../src/swap/frames.ts'
import { LIMITS } from '../../../src/swap/limits.ts'
import {
  decodeAskerMessage, decodeHolderMessage, encodeHello, encodeShut, encodeSlice, encodeTicket, encodeWant,
} from '../../../src/swap/wire.ts'
import { bodyOf, encode, page, prefixesOf } from '../../support/madepages.ts'
import { hasher, MadePages } from '../../support/madeswap.ts'
import { seededRandom } from '../../support/random.ts'
import { precopyStream } from '../../support/streambuilder.ts'
import type { Target } from '../target.ts'

const random = seededRandom(7)
const RISING = Float64Array.from({ length: 60 }, () => Math.floor(random() * 2 ** 40)).sort()
const SETS = await Promise.all([
  encodePrefixSet({ bits: 40, prefixes: RISING }), encodePrefixSet({ bits: 45, prefixes: RISING.slice(0, 1) }),
  encodePrefixSet({ bits: 40, prefixes: new Float64Array(0) }),
])
const SET = { bits: 40, prefixes: RISING }
const TABLE = SortedTable.fromRising({
  high: Uint32Array.from(RISING, (prefix) => prefix / 2 ** 8),
  low: Uint32Array.from(RISING, (prefix) => (prefix % 2 ** 8) * 2 ** 24),
  values: new Uint32Array(RISING.length),
})
const BITMAP_BYTES = Math.ceil(RISING.length / 8)

const STREAM = Buffer.from(precopyStream([{ name: 'pc.ram', pages: [0, 1, 2, 0, 3].map(page) }]).bytes)
const BODIES = encode(STREAM, prefixesOf([1, 2].map(page)), [5000], [true]).map(bodyOf)
const FRAMES = BODIES.map((body) => Buffer.concat([frameHeader(PASSAGE_FRAMES.batch.kind, body.length), body]))

const MADE = new MadePages(8)
const WANTED = MADE.prefixes([0, 1, 2, 3, 4, 5, 6, 7])
const PACKED = packNow(MADE.bytes)
const SOME = packNow(MADE.bytes.subarray(0, 2 * PAGE_BYTES))

const WORD = 7
const SLOTS = 24

function recordsOf(count: number): Buffer {
  const words = new Uint32Array(count * RECORD_WORDS)
  for (let slot = 0; slot < count; slot++) {
    writeRecord(words, slot * RECORD_WORDS, slot, WORD, MADE.ids, (slot % MADE.count) * 16, 1 + slot % 3, slot)
  }
  return Buffer.from(words.buffer)
}

export const PAGE_TARGETS: readonly Target[] = [
  {
    name: 'prefix-set', seeds: SETS, refusals: ['bad-prefix-set'],
    async decode(input) {
      const set = await decodePrefixSet(input)
      const { bits, prefixes } = set
      assert.ok(prefixes.length <= PREFIX_SET_LIMITS.countMax && prefixes.length <= input.length * 8)
      for (let i = 0; i < prefixes.length; i++) {
        assert.ok(Number.isSafeInteger(prefixes[i]) && prefixes[i]! < 2 ** bits)
        assert.ok(i === 0 || prefixes[i]! > prefixes[i - 1]!)
      }
      assert.equal((await answerPages(set, () => true)).length, Math.ceil(prefixes.length / 8))
      return prefixes
    },
  },
  {
    name: 'census-answer', refusals: ['bad-frame'], bytesMax: 4096, room: 2 ** 20,
    seeds: [
      new Uint8Array(BITMAP_BYTES), new Uint8Array(BITMAP_BYTES).fill(0xff), Buffer.alloc(8), Buffer.alloc(120, 1),
    ],
    async decode(input) {
      // The same bytes as each of the three answers.
      if (input.length === BITMAP_BYTES) return { known: (await knownPages(TABLE, SET, input)).count }
      if (input.length % 4 === 0) return { fetched: fetchedPages(TABLE, SET, input).count }
      const numbers = await lastFirst(RISING.length, new Uint8Array(BITMAP_BYTES), input)
      assert.ok(numbers.every((number) => number < RISING.length))
      return { numbers }
    },
  },
  {
    name: 'order', refusals: ['bad-frame'], bytesMax: 4096, room: 2 ** 20, seeds: [Buffer.alloc(120, 1)],
    async decode(input) {
      const numbers = await lastFirst(RISING.length, new Uint8Array(BITMAP_BYTES), input)
      assert.equal(new Set(numbers).size, RISING.length)
      return numbers
    },
  },
  {
    name: 'packed-pages', refusals: ['bad-frame'], seeds: [PACKED, SOME, MADE.page(1)], room: 3 * 2 ** 20, share: 0.5,
    decode(input) {
      const bytes = unpack(input, 2 * PAGE_BYTES)
      assert.equal(bytes.length, 2 * PAGE_BYTES)
      return bytes
    },
  },
  {
    name: 'passage', refusals: ['bad-frame'], bytesMax: 64 * 1024, room: 4 * 2 ** 20, share: 0.5,
    seeds: [Buffer.concat(FRAMES), FRAMES[0]!, ...Object.values(PASSAGE_FRAMES).slice(1).map(({ kind, bytesMin }) =>
      Buffer.concat([frameHeader(kind, bytesMin), Buffer.alloc(bytesMin)]))],
    decode(input) {
      const decoder = new Decoder()
      const came: string[] = []
      let right = 0
      new FrameReader(PASSAGE_FRAMES, (name, body) => {
        came.push(name)
        if (name !== 'batch') return
        const batch = decoder.assemble(unpackBatch(body))
        assert.ok(batch.pageOffsets.subarray(0, batch.pageCount).every((at) => at + PAGE_BYTES <= batch.streamBytes))
        assert.ok(batch.refPages.every((place) => place < batch.pageCount))
        // Without the pages of its refs no digest can be right; without refs it may be.
        if (batch.refPages.length === 0) right += 1
        decoder.recycle(batch)
      }).push(input)
      return { came, right }
    },
  },
  {
    name: 'swap-asker', refusals: ['bad-swap'], bytesMax: 4096,
    seeds: [encodeHello('handoff'), encodeHello('placement'), encodeWant(7, WANTED)],
    decode(input) {
      const message = decodeAskerMessage(input)
      if (message.kind === 'want') {
        const { count, high, low } = message.prefixes
        assert.ok(count >= 1 && count <= LIMITS.pagesPerWant && high.length === count && low.length === count)
      }
      return message
    },
  },
  {
    name: 'swap-holder', refusals: ['bad-swap'], bytesMax: 4096,
    seeds: [
      encodeTicket({ address: '10.0.0.1:4002', id: '01'.repeat(16), key: '02'.repeat(32) }), encodeShut(true),
      encodeShut(false), encodeSlice(encodeBusy(3)),
    ],
    decode(input) {
      const message = decodeHolderMessage(input)
      if (message.kind === 'lane') assert.ok(message.ticket.address.length > 0 && message.ticket.address.length < 1024)
      return message
    },
  },
  {
    name: 'swap-frames', refusals: ['bad-swap', 'bad-frame'], room: 3 * 2 ** 20, share: 0.5,
    seeds: [
      Buffer.concat([encodePagesHead(1, 8, Uint8Array.of(0xff), PACKED.length), PACKED]),
      Buffer.concat([encodePagesHead(2, 8, Uint8Array.of(3), SOME.length), SOME]),
      Buffer.concat([encodeBusy(1), encodePagesHead(3, 8, new Uint8Array(1), 0)]),
    ],
    decode(input) {
      const came: Answer[] = []
      new AnswerReader((body) => came.push(decodeAnswer(body))).push(input)
      for (const answer of came) {
        if (answer.status !== 'pages' || answer.count !== WANTED.count) continue
        const { right, bytes } = checkAnswer(answer, WANTED, hasher)
        right.forEach((place, index) => assert.ok(
          bytes.subarray(index * PAGE_BYTES, (index + 1) * PAGE_BYTES).equals(MADE.page(place)), 'only right pages'))
      }
      return came
    },
  },
  {
    name: 'challenge', refusals: ['bad-possession'], bytesMax: 4096,
    seeds: [encodeChallenge({ nonce: new Uint8Array(16), prefixes: WANTED })],
    decode: (input) => decodeChallenge(input),
  },
  {
    name: 'possession', refusals: ['bad-possession'], bytesMax: 256,
    seeds: [encodeAnswer({ bitmap: Uint8Array.of(0xff, 3), proof: new Uint8Array(16) })],
    decode(input) {
      const { bitmap, proof } = decodePossession(input, 10)
      assert.ok(bitmap.length === 2 && proof.length === 16 && bitmap[1]! < 4)
      return proof
    },
  },
  {
    name: 'store-index', seeds: [recordsOf(8), recordsOf(SLOTS), Buffer.alloc(4 * RECORD_BYTES)],
    bytesMax: SLOTS * RECORD_BYTES,
    decode(input) {
      const count = Math.floor(input.length / RECORD_BYTES)
      const words = new Uint32Array(count * RECORD_WORDS)
      new Uint8Array(words.buffer).set(input.subarray(0, count * RECORD_BYTES))
      const slots = new Slots(SLOTS)
      slots.setCount(count)
      const table = new SlotTable(slots)
      const seals = { named: (word: number) => (word === WORD ? 0 : -1) }
      const { damaged, ended } = loadRecords(words, count, 0, { slots, table, slabSlots: SLOTS, seals })
      assert.ok(damaged + ended + table.size <= count && slots.pages === table.size)
      return { damaged, ended, pages: table.size }
    },
  },
  {
    name: 'store-head', bytesMax: HEAD_BYTES,
    seeds: [0, 1, 32].map((count) => encodeHead(Array.from({ length: count }, (_, index) => (
      { name: new Uint8Array(16).fill(index), salt: new Uint8Array(32).fill(index + 1) })))),
    decode(input) {
      const head = decodeHead(input)
      if (!Array.isArray(head)) return head === 'damaged' ? undefined : head
      assert.ok(head.length <= 32 && head.every(({ name, salt }) => name.length === 16 && salt.length === 32))
      return head
    },
  },
]
