import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'

import fc from 'fast-check'

import { systemRandom } from '../../src/runtime/random.ts'
import {
  decodeHead, encodeHead, HEAD_BYTES, isFreeRecord, isWholeRecord, RECORD_BYTES, RECORD_WORDS, recordHigh, recordKind,
  recordLow, recordScope, SLOT_BYTES, writeRecord,
} from '../../src/store/format.ts'
import { loadRecords } from '../../src/store/opening.ts'
import { ScopeSeal, Seals } from '../../src/store/sealing.ts'
import { SLOT, Slots } from '../../src/store/slots.ts'
import { SlotTable } from '../../src/store/slottable.ts'
import {
  ask, idOf, madeDirectory, madeStore, numbers, pageOf, pagesOf, prefixOf, scopes, sealedFor,
} from '../support/madestore.ts'

/** Runs of each property; a long run sets more. */
const RUNS = Number(process.env['PAGEMESH_FUZZ_RUNS'] ?? 100)
const SLOTS = 40
const PAGES = 12
const random = systemRandom
const seal = new ScopeSeal({ random }, scopes.oldest, new Uint8Array(32).fill(9))
const { word } = seal

/** A record as written for page `number`, perhaps for another slot, of a scope that is gone, or of no kind. */
const record = fc.record({
  number: fc.nat(PAGES - 1), off: fc.constantFrom(0, 0, 0, 1, -1), kind: fc.constantFrom(1, 2, 3, 3, 0, 4, 2 ** 31),
  scope: fc.constantFrom(word, word, word, 0), time: fc.constantFrom(0, 1, 0xffff_ffff),
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
      const { number, off, kind, scope, time } = given
      writeRecord(words, slot * RECORD_WORDS, slot + off, scope, idOf(number), 0, kind, time)
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
      const before = words.slice()
      const seals = new Seals({ random })
      seals.add(scopes.oldest, seal.salt)
      const { damaged, ended } = loadRecords(words, count, 0, { slots, table, slabSlots, seals })
      const written = numbers(count).filter((slot) => !isFreeRecord(before, slot * RECORD_WORDS))
      const whole = written.filter((slot) => isWholeRecord(before, slot * RECORD_WORDS, slot) &&
        numbers(3, 1).includes(recordKind(before, slot * RECORD_WORDS)))
      const gone = whole.filter((slot) => recordScope(before, slot * RECORD_WORDS) !== word)
      const own = whole.filter((slot) => !gone.includes(slot) && slot < slabSlots)
      assert.deepEqual([damaged, ended], [written.length - gone.length - own.length, gone.length])
      assert.ok(gone.every((slot) => isFreeRecord(words, slot * RECORD_WORDS)), 'they are cleared')
      const named = (slot: number): string =>
        `${recordHigh(words, slot * RECORD_WORDS)} ${recordLow(words, slot * RECORD_WORDS)}`
      assert.equal(table.size, new Set(own.map(named)).size)
      assert.equal(slots.pages, table.size)
      assert.equal(slots.counts[SLOT.free], count - table.size)
    }), { numRuns: RUNS })
  })

  it('opens any files, and never returns a page other than the wanted one', async () => {
    const head = fc.oneof(fc.constant(encodeHead([seal])), fc.uint8Array({ maxLength: HEAD_BYTES }))
    const slab = fc.array(fc.oneof(fc.nat(PAGES - 1), fc.constant('torn')), { maxLength: SLOTS + 4 })
    await fc.assert(fc.asyncProperty(head, index, slab, async (first, given, inSlots) => {
      const head = Buffer.concat([first, Buffer.alloc(HEAD_BYTES - first.length)])
      writeFileSync(join(path, 'pages.index'), Buffer.concat([head, recordsOf(given)]))
      writeFileSync(join(path, 'pages.slab'), Buffer.concat(inSlots.map((content, slot) =>
        (typeof content === 'number' ? sealedFor(seal, pageOf(content), slot, prefixOf(content))
          : Buffer.alloc(SLOT_BYTES - 1, 7)))))
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
    const own = encodeHead([seal, { name: new Uint8Array(16).fill(1), salt: new Uint8Array(32) }])
    assert.deepEqual(decodeHead(own), [
      { name: seal.name, salt: seal.salt }, { name: new Uint8Array(16).fill(1), salt: new Uint8Array(32) },
    ])
    assert.deepEqual(decodeHead(encodeHead([])), [])
    const used = 20 + 2 * 48
    fc.assert(fc.property(fc.nat(used - 1), fc.nat(7), (at, bit) => {
      const flipped = Buffer.from(own)
      flipped[at]! ^= 1 << bit
      assert.equal(decodeHead(flipped), at >= 8 && at < 12 ? 'other-version' : 'damaged')
    }), { numRuns: RUNS })
    assert.equal(decodeHead(own.subarray(0, 100)), 'damaged')
  })
})
