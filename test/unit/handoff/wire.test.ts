import assert from 'node:assert/strict'
import fc from 'fast-check'

import { addArrived, answerPages, knownPages, lastFirst, listPages, orderOf } from '../../../src/handoff/inventory.ts'
import { decodeOffer, encodeAnswer, encodeOffer, requireAccepted } from '../../../src/handoff/offer.ts'
import { outcomeOf } from '../../../src/handoff/outcome.ts'
import { decodeReport, encodeReport } from '../../../src/handoff/resultframe.ts'
import { noRefsFilled } from '../../../src/handoff/result.ts'
import { FRAME_KINDS, frameHeader, FrameReader, type FrameKind } from '../../../src/handoff/wire.ts'
import { Window, WINDOW_BATCHES_MAX, WINDOW_STREAM_BYTES } from '../../../src/handoff/window.ts'
import { SortedTable } from '../../../src/page/index.ts'
import { systemClock } from '../../../src/runtime/clock.ts'
import { PagemeshError } from '../../../src/runtime/errors.ts'
import { sortedTable } from '../page/sortedtables.ts'

const offer = {
  version: 1, guest: 'web', mode: 'precopy' as const, running: true, dryRun: false,
  ticket: { address: '127.0.0.1:1', id: 'ab', key: 'cd' },
}

describe('the handoff stream', () => {
  it('comes apart into the same frames, whatever the pieces', () => {
    const kinds = [FRAME_KINDS.batch, FRAME_KINDS.returned, FRAME_KINDS.pages] as const
    const frame = fc.tuple(fc.constantFrom(...kinds), fc.uint8Array({ maxLength: 300 }))
    const pieces = fc.integer({ min: 1, max: 400 })
    fc.assert(fc.property(fc.array(frame, { maxLength: 20 }), pieces, (frames, pieceBytes) => {
      const bytes = Buffer.concat(frames.flatMap(([kind, body]) => [frameHeader(kind, body.length), body]))
      const read: [FrameKind, Uint8Array][] = []
      const reader = new FrameReader((kind, body) => read.push([kind, new Uint8Array(body)]))
      for (let at = 0; at < bytes.length; at += pieceBytes) reader.push(bytes.subarray(at, at + pieceBytes))
      assert.deepEqual(read, frames)
    }))
  })

  it('refuses a frame beyond its limit before it is buffered, and one of no kind', () => {
    for (const kind of Object.values(FRAME_KINDS)) {
      const reader = new FrameReader(() => {})
      assert.throws(() => reader.push(frameHeader(kind, 0xffff_ffff)), { code: 'bad-frame' }, `kind ${kind}`)
    }
    for (const kind of [0, 99, 255]) {
      assert.throws(() => new FrameReader(() => {}).push(frameHeader(kind as FrameKind, 0)), { code: 'bad-frame' })
    }
  })

  it('refuses offers and answers that are not whole', () => {
    assert.deepEqual(decodeOffer(encodeOffer(offer)), offer)
    const broken = [
      { ...offer, version: 0 }, { ...offer, version: 2 }, { ...offer, guest: '' }, { ...offer, guest: 'x'.repeat(256) },
      { ...offer, mode: 'warm' }, { ...offer, running: 1 },
      { ...offer, ticket: null }, { ...offer, ticket: { id: 'a' } },
    ]
    for (const each of broken) {
      assert.throws(() => decodeOffer(encodeOffer(each as typeof offer)), { code: 'bad-offer' })
    }
    assert.throws(() => decodeOffer(Buffer.from([0xff, 0xfe])), { code: 'bad-offer' })
    assert.throws(() => decodeOffer(Buffer.from('null')), { code: 'bad-offer' })
    requireAccepted(encodeAnswer({ accepted: true }), 'b')
    const refusal = encodeAnswer({ accepted: false, code: 'no-waiting-guest', message: 'none', advice: 'do' })
    assert.throws(
      () => requireAccepted(refusal, 'b'),
      (error: unknown) => error instanceof PagemeshError && error.code === 'no-waiting-guest' && error.advice === 'do',
    )
    assert.throws(() => requireAccepted(Buffer.from('{}'), 'b'), { code: 'bad-answer' })
  })

  it('refuses a result that lacks a count', () => {
    const spent = { report: 1, gossip: 2, swap: 3 }
    const report = { streamBytes: 5, refsFilledBy: noRefsFilled(), peerBytes: 4, spent }
    assert.deepEqual(decodeReport(encodeReport(report)), report)
    assert.throws(() => decodeReport(Buffer.from('{"streamBytes":5}')), { code: 'bad-frame' })
    for (const broken of [
      { streamBytes: -1 }, { peerBytes: 0.5 }, { spent: { ...spent, swap: -1 } }, { spent: null as never },
    ]) {
      assert.throws(() => decodeReport(encodeReport({ ...report, ...broken })), { code: 'bad-frame' })
    }
    assert.throws(() => decodeReport(Buffer.from('nonsense')), { code: 'bad-frame' })
  })

  it('agrees on what the destination has', () => {
    const table = sortedTable(Array.from({ length: 1000 }, (_, i) =>
      [Math.imul(i, 0x9e3779b1) >>> 0, Math.imul(i, 0x85ebca6b) >>> 0, i] as const))
    const set = listPages(table)
    const bitmap = answerPages(set, (high) => high % 3 === 0)
    const known = knownPages(table, set, bitmap)
    table.forEach((high, low) => assert.equal(known.get(high, low) !== -1, high % 3 === 0))
    assert.throws(() => knownPages(table, set, bitmap.subarray(1)), { code: 'bad-frame' })
    assert.equal(knownPages(SortedTable.empty(), listPages(SortedTable.empty()), new Uint8Array(0)).size, 0)
  })

  it('takes up what the destination fetched since, by number, and refuses numbers that the census has not', () => {
    const table = sortedTable(Array.from({ length: 1000 }, (_, i) =>
      [Math.imul(i, 0x9e3779b1) >>> 0, Math.imul(i, 0x85ebca6b) >>> 0, i] as const))
    const set = listPages(table)
    const known = knownPages(table, set, answerPages(set, () => false))
    const numbers = Buffer.alloc(8)
    numbers.writeUInt32BE(0, 0)
    numbers.writeUInt32BE(999, 4)
    addArrived(known, table, set, numbers)
    assert.equal(known.size, 2)
    for (const index of [0, 999]) assert.notEqual(known.get(table.highAt(index), table.lowAt(index)), -1)
    numbers.writeUInt32BE(1000, 4)
    assert.throws(() => addArrived(known, table, set, numbers), { code: 'bad-frame' })
    assert.throws(() => addArrived(known, table, set, numbers.subarray(0, 7)), { code: 'bad-frame' })
  })

  it('tells where in memory is what the destination lacks, which takes the last of it first', () => {
    const table = sortedTable(Array.from({ length: 1000 }, (_, i) =>
      [Math.imul(i, 0x9e3779b1) >>> 0, Math.imul(i, 0x85ebca6b) >>> 0, i] as const))
    const listed = { table, numberAt: (index: number) => table.valueAt(index) }
    const set = listPages(table)
    const bitmap = answerPages(set, (high) => high % 3 === 0)
    const order = orderOf(listed, set, bitmap)
    const numbers = [...lastFirst(set.prefixes.length, bitmap, order)]
    const lacking = [...set.prefixes.keys()].filter((number) => table.highAt(number) % 3 !== 0)
    assert.deepEqual([...numbers].sort((left, right) => left - right), lacking)
    const parts = numbers.map((number) => Math.floor(2 ** 16 * table.valueAt(number) / 1000))
    assert.deepEqual(parts, [...parts].sort((left, right) => right - left))
    assert.throws(() => lastFirst(set.prefixes.length, bitmap, order.subarray(1)), { code: 'bad-frame' })
    const nothing = { table: SortedTable.empty(), numberAt: () => 0 }
    assert.equal(orderOf(nothing, listPages(nothing.table), new Uint8Array(0)).length, 0)
  })

  it('knows from a source\'s state where the guest lives', () => {
    assert.deepEqual(['postmigrate', 'running', 'paused', 'absent', 'inmigrate'].map(outcomeOf),
      ['given-up', 'kept', 'kept', 'unknown', 'unknown'])
  })

  it('keeps a window that is full, empties, and refuses what is not in it', () => {
    const window = new Window({ clock: systemClock })
    window.add(0, WINDOW_STREAM_BYTES - 1)
    assert.equal(window.isFull, false)
    window.add(1, 1)
    assert.equal(window.isFull, true)
    assert.equal(window.acknowledge(1), true)
    assert.equal(window.acknowledge(1), false)
    window.weigh(0, 2 ** 30)
    assert.equal(window.isFull, true)
    assert.equal(window.acknowledge(0), true)
    assert.ok(window.isEmpty && !window.isFull)
    for (let sequence = 0; sequence < WINDOW_BATCHES_MAX; sequence++) window.add(sequence, 1)
    assert.equal(window.isFull, true)
  })
})
