import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'

import fc from 'fast-check'

import { PAGE_BYTES } from '../../src/page/index.ts'
import {
  encodeHead, HEAD_BYTES, isWholeRecord, judgeHead, markOf, RECORD_BYTES, RECORD_WORDS, recordHigh, recordLow, seedOf,
  writeRecord,
} from '../../src/store/format.ts'
import { loadRecords } from '../../src/store/opening.ts'
import { SLOT, Slots } from '../../src/store/slots.ts'
import { SlotTable } from '../../src/store/slottable.ts'
import { ask, hasher, idOf, madeDirectory, madeStore, numbers, pageOf, pagesOf } from '../support/madestore.ts'

/** Runs of each property; a long run sets more. */
const RUNS = Number(process.env['PAGEMESH_FUZZ_RUNS'] ?? 100)
const SLOTS = 40
const PAGES = 12
const mark = markOf(hasher)

/** A record as written for page `number`, perhaps for another slot, under another key, or of no kind. */
const record = fc.record({
  number: fc.nat(PAGES - 1), off: fc.constantFrom(0, 0, 0, 1, -1), kind: fc.constantFrom(1, 2, 3, 3, 0, 4, 2 ** 31),
  seed: fc.constantFrom(seedOf(mark), seedOf(mark), seedOf(mark), 0), time: fc.constantFrom(0, 1, 0xffff_ffff),
})
const piece = fc.oneof(
  record, fc.constant(new Uint8Array(RECORD_BYTES)),
  fc.uint8Array({ minLength: RECORD_BYTES, maxLength: RECORD_BYTES }),
)
const index = fc.record({
  pieces: fc.array(piece, { maxLength: SLOTS + 8 }), cut: fc.nat(RECORD_BYTES - 1),
  flips: fc.array(fc.nat(), { maxLength: 8 }),
})
type Index = typeof index extends fc.Arbitrary<infer T> ? T : never

function recordsOf({ pieces, cut, flips }: Index): Buffer {
  const words = new Uint32Array(pieces.length * RECORD_WORDS)
  const bytes = Buffer.from(words.buffer)
  pieces.forEach((given, slot) => {
    if (given instanceof Uint8Array) bytes.set(given, slot * RECORD_BYTES)
    else {
      const { number, off, kind, seed, time } = given
      writeRecord(words, slot * RECORD_WORDS, slot + off, seed, idOf(number), 0, kind, time)
    }
  })
  for (const flip of flips) if (bytes.length > 0) bytes[(flip >>> 3) % bytes.length]! ^= 1 << (flip & 7)
  return bytes.subarray(0, Math.max(0, bytes.length - cut))
}

describe('the reader of a store\'s index', function () {
  this.timeout(0)
  const path = madeDirectory()

  it('takes only whole records, each page once, and counts damaged ones', () => {
    fc.assert(fc.property(index, fc.nat(SLOTS), (given, slabSlots) => {
      const bytes = recordsOf({ ...given, cut: 0 })
      const words = new Uint32Array(bytes.buffer, 0, bytes.length / 4)
      const count = bytes.length / RECORD_BYTES
      const slots = new Slots(SLOTS + 8)
      slots.setCount(count)
      const table = new SlotTable(slots)
      const damaged = loadRecords(words, count, 0, { slots, table, slabSlots, seed: seedOf(mark) })
      const written = numbers(count).filter((slot) => bytes.subarray(slot * RECORD_BYTES).some((byte, at) =>
        at < RECORD_BYTES && byte !== 0))
      const whole = written.filter((slot) => slot < slabSlots && words[slot * RECORD_WORDS + 5]! >= 1 &&
        words[slot * RECORD_WORDS + 5]! <= 3 && isWholeRecord(words, slot * RECORD_WORDS, slot, seedOf(mark)))
      assert.equal(damaged, written.length - whole.length)
      const prefixOf = (slot: number): string =>
        `${recordHigh(words, slot * RECORD_WORDS)} ${recordLow(words, slot * RECORD_WORDS)}`
      assert.equal(table.size, new Set(whole.map(prefixOf)).size)
      assert.equal(slots.pages, table.size)
      assert.equal(slots.counts[SLOT.free], count - table.size)
    }), { numRuns: RUNS })
  })

  it('opens any files, and never returns a page other than the wanted one', async () => {
    const head = fc.oneof(fc.constant(encodeHead(mark)), fc.uint8Array({ maxLength: HEAD_BYTES }))
    const slab = fc.array(fc.oneof(fc.nat(PAGES - 1), fc.constant('torn')), { maxLength: SLOTS + 4 })
    await fc.assert(fc.asyncProperty(head, index, slab, async (first, given, inSlots) => {
      const head = Buffer.concat([first, Buffer.alloc(HEAD_BYTES - first.length)])
      writeFileSync(join(path, 'pages.index'), Buffer.concat([head, recordsOf(given)]))
      writeFileSync(join(path, 'pages.slab'), Buffer.concat(inSlots.map((content) =>
        (typeof content === 'number' ? pageOf(content) : Buffer.alloc(PAGE_BYTES - 1, 7)))))
      const store = madeStore(path, { slots: SLOTS })
      await store.start()
      try {
        assert.deepEqual((await ask(store, numbers(PAGES))).wrong, [])
        await store.put(pagesOf(numbers(PAGES)), 'head')
        assert.deepEqual(await ask(store, numbers(PAGES)), { filled: numbers(PAGES), wrong: [] })
        assert.ok(store.bytes <= store.bytesMax)
      } finally {
        await store.stop()
      }
    }), { numRuns: RUNS })
  })

  it('distinguishes its own head from all others', () => {
    const own = encodeHead(mark)
    assert.equal(judgeHead(own, mark), 'ours')
    assert.equal(judgeHead(encodeHead(new Uint8Array(16).fill(1)), mark), 'other-key')
    const used = own.findLastIndex((byte) => byte !== 0) + 1
    fc.assert(fc.property(fc.nat(used - 1), fc.nat(7), (at, bit) => {
      const flipped = Buffer.from(own)
      flipped[at]! ^= 1 << bit
      assert.equal(judgeHead(flipped, mark), 'damaged')
    }), { numRuns: RUNS })
    assert.equal(judgeHead(own.subarray(0, 100), mark), 'damaged')
  })
})
