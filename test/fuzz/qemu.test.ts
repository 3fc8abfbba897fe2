import assert from 'node:assert/strict'
import fc from 'fast-check'

import { CARRY_BYTES_MAX, createStreamReader, type StreamReaderOptions } from '../../src/qemu/index.ts'
import { MultifdBuilder } from '../support/multifdstream.ts'
import {
  postcopyStream, precopyStream, StreamBuilder, syntheticPages, type BuiltStream,
} from '../support/streambuilder.ts'
import { transcribe } from '../support/transcript.ts'

/** Runs of each property; a long run sets more. */
const RUNS = Number(process.env['PAGEMESH_FUZZ_RUNS'] ?? 100)
const PAGE_BYTES = 4096

const [PAGE] = syntheticPages(1) as [Uint8Array]
const MEMORY = [
  { name: 'pc.ram', pages: [...syntheticPages(2), undefined, ...syntheticPages(1, 2)] },
  { name: 'pc.bios', pages: syntheticPages(1, 3) },
]
const BLOCKS = MEMORY.map(({ name, pages }) => ({ name, bytes: pages.length * PAGE_BYTES }))

/** Streams with all elements that the reader walks or skips. */
const STREAMS: readonly BuiltStream[] = [
  precopyStream(MEMORY),
  postcopyStream(MEMORY, MEMORY),
  new StreamBuilder().header()
    .configuration((stream) => stream.targetPageBits(12).capabilities('x-ignore-shared')).advise(2 ** 21 | 4096)
    .ramStartHeader(3 * PAGE_BYTES)
    .name('pc.ram').u64(2 * PAGE_BYTES).u64(2 ** 21).u64(0).name('pc.bios').u64(PAGE_BYTES).u64(0xfffff000).ramEos()
    .sectionHeader(1, 3, 'dirty-bitmap').raw(0x18).name('drive0').u32(65536).raw(1, 1).footer(3)
    .sectionHeader(4, 7, 'virtio-mem-device-early').u64(0).u64(2 ** 24).u64(2 ** 21).u32(0).u64(0).u64(5).footer(7)
    .sectionHeader(1, 8, 'newdevice').raw(new Uint8Array(40).fill(0x7e)).footer(8)
    .ramPart().record(0x040, 'pc.ram', 0).raw(1).u16(4).raw('abcd').page('pc.ram', PAGE_BYTES, PAGE).ramEos()
    .raw(0x02).u32(8).raw('opaque').footer(8)
    .ramPart().page('pc.bios', 0, PAGE).u64(0x200).ramEos().ramEnd().ramEos().build(),
]

/** The bytes of a multifd channel. */
const MULTIFD = new MultifdBuilder()
  .packet({ pages: syntheticPages(3), zeros: 2 }).packet({ flags: 1, payloadBytes: 3 * PAGE_BYTES })
  .deviceState(new Uint8Array(700).fill(0x11)).packet({ flags: 1, alloc: 0 }).packet({ pages: syntheticPages(2, 9) })
  .build()

const stream = fc.constantFrom(...STREAMS)
const pieces = fc.array(fc.oneof(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 1, max: 9000 })), {
  minLength: 1, maxLength: 20,
})

/** Fragments that mislead a reader sooner than random bytes. */
const fragment = fc.oneof(
  fc.uint8Array({ maxLength: 40 }),
  fc.constantFrom(
    new StreamBuilder().ramPart().u64(0x028).build().bytes,
    new StreamBuilder().ramEnd().u64(0x010).footer(2).build().bytes,
    new StreamBuilder().forgetBlock().ramPart().page('pc.ram', 0, PAGE).ramEos().build().bytes,
    new StreamBuilder().ramStart(BLOCKS).build().bytes,
    new StreamBuilder().packaged(new StreamBuilder().command(4).build().bytes).build().bytes,
    new StreamBuilder().footer(2).sectionHeader(4, 9, 'cpu').build().bytes,
    new StreamBuilder().globalState(4, 'paused').build().bytes,
    new StreamBuilder().footer(8).command(2, new Uint8Array(4)).build().bytes,
    new StreamBuilder().sectionHeader(1, 5, 'vfio').u64(0xffffffffef100002n).build().bytes,
    new Uint8Array(300).fill(0x7e), new Uint8Array(300).fill(0x02), new Uint8Array(300).fill(0x01),
  ),
)

/** A stream with fragments over or between its bytes, or with bytes missing. */
const damagedOf = (whole: fc.Arbitrary<BuiltStream>): fc.Arbitrary<Uint8Array> => fc.tuple(whole, fc.array(fc.record({
  at: fc.double({ min: 0, max: 1, noNaN: true }), removed: fc.integer({ min: 0, max: 60 }), added: fragment,
}), { minLength: 1, maxLength: 4 })).map(([{ bytes }, wounds]) => wounds.reduce<Uint8Array>((before, wound) => {
  // Most of a stream is page bytes: records, near the start, are damaged more often.
  const at = Math.floor(wound.at ** 3 * before.length)
  return Buffer.concat([before.subarray(0, at), wound.added, before.subarray(at + wound.removed)])
}, bytes))

const hostile = fc.oneof(
  damagedOf(stream),
  fc.array(fragment, { maxLength: 30 })
    .map((fragments) => Buffer.concat([STREAMS[0]!.bytes.subarray(0, 150), ...fragments])),
  fc.uint8Array({ maxLength: 2000 }),
)

/** Pushes `bytes` and checks what holds for every stream, good or bad. Returns the number of announced pages. */
function checkSayings(bytes: Uint8Array, lengths: readonly number[], options: StreamReaderOptions): number {
  let pieceAt = 0
  let pieceEnd = 0
  let pageEnd = 0
  let announced = 0
  let undecidedBytes = 0
  let understands = true
  const isInReach = (offset: number): boolean => offset >= pieceAt - undecidedBytes && offset <= pieceEnd
  const reader = createStreamReader({
    page(offset) {
      assert.ok(understands, 'a page is announced only while the reader understands')
      assert.ok(offset >= pageEnd, 'pages do not overlap')
      assert.ok(offset >= pieceAt && offset <= pieceEnd, 'a page is announced as soon as its header came')
      pageEnd = offset + PAGE_BYTES
      announced += 1
    },
    zeroPage: () => assert.ok(understands),
    mark: (_mark, offset) => assert.ok(understands && isInReach(offset)),
    runState(state) {
      assert.ok(understands && /^[a-z-]{1,99}$/.test(state))
    },
    lost(_reason, offset) {
      assert.ok(understands && isInReach(offset))
      understands = false
    },
    resynchronised(offset) {
      assert.ok(!understands && isInReach(offset))
      understands = true
    },
  }, options)
  for (let index = 0; pieceAt < bytes.length; index++) {
    pieceEnd = Math.min(bytes.length, pieceAt + lengths[index % lengths.length]!)
    reader.push(bytes.slice(pieceAt, pieceEnd))
    pieceAt = pieceEnd
    undecidedBytes = reader.undecidedBytes
    assert.ok(undecidedBytes <= CARRY_BYTES_MAX)
    assert.equal(reader.understands, understands)
    assert.equal(reader.offset, pieceEnd)
  }
  assert.equal(reader.summary.pages, announced)
  return announced
}

describe('the reader of QEMU\'s stream', function () {
  this.timeout(0)

  it('reports the same for a whole stream in any pieces', () => {
    fc.assert(fc.property(stream, pieces, ({ bytes, pageOffsets, marks }, lengths) => {
      const transcript = transcribe(bytes, lengths)
      assert.deepEqual(transcript.pageOffsets, pageOffsets)
      assert.deepEqual(transcript.marks, marks)
    }), { numRuns: RUNS })
  })

  it('reports the same for a damaged stream in any pieces', () => {
    fc.assert(fc.property(hostile, pieces, (bytes, lengths) => {
      assert.deepEqual(transcribe(bytes, lengths).sayings, transcribe(bytes).sayings)
    }), { numRuns: RUNS })
  })

  it('never throws, holds a bounded rest and announces pages in time, whatever the bytes', () => {
    let announced = 0
    fc.assert(fc.property(hostile, pieces, (bytes, lengths) => {
      announced += checkSayings(bytes, lengths, {})
    }), { numRuns: RUNS })
    assert.ok(announced > 0)
  })

  it('does so on a multifd channel, and reports the same in any pieces', () => {
    fc.assert(fc.property(damagedOf(fc.constant(MULTIFD)), pieces, (bytes, lengths) => {
      const { sayings } = transcribe(bytes, bytes.length, { channel: 'beside' })
      assert.deepEqual(transcribe(bytes, lengths, { channel: 'beside' }).sayings, sayings)
      checkSayings(bytes, lengths, { channel: 'beside' })
    }), { numRuns: RUNS })
    assert.deepEqual(transcribe(MULTIFD.bytes, 99, { channel: 'beside' }).pageOffsets, MULTIFD.pageOffsets)
  })

  it('does so on a recovered connection and on a preempt channel', () => {
    const channel = fc.constantFrom('main' as const, 'beside' as const)
    fc.assert(fc.property(fc.array(fragment, { maxLength: 30 }), pieces, channel, (fragments, lengths, kind) => {
      const { knowledge } = transcribe(STREAMS[1]!.bytes).reader
      checkSayings(Buffer.concat(fragments), lengths, { channel: kind, continuation: knowledge })
    }), { numRuns: RUNS })
  })
})
