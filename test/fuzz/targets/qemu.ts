/** The migration stream of a QEMU, on each of its channels. */
import assert from 'node:assert/strict'

import {
  CARRY_BYTES_MAX, createStreamReader, isKnowledgeData, readKnowledge, ReturnPathEnd, type StreamReaderOptions,
} from '../../../src/qemu/index.ts'
import { MultifdBuilder } from '../../support/multifdstream.ts'
import { postcopyStream, precopyStream, StreamBuilder, syntheticPages } from '../../support/streambuilder.ts'
import { transcribe } from '../../support/transcript.ts'
import type { Target } from '../target.ts'

const PAGE_BYTES = 4096
const MEMORY = [{ name: 'pc.ram', pages: [...syntheticPages(1), undefined] }, { name: 'pc.bios', pages: [undefined] }]
const STREAMS = [
  precopyStream(MEMORY), postcopyStream(MEMORY, MEMORY),
  new StreamBuilder().header().configuration((stream) => stream.targetPageBits(12).capabilities('x-ignore-shared'))
    .advise(2 ** 21 | 4096).ramStartHeader(3 * PAGE_BYTES)
    .name('pc.ram').u64(2 * PAGE_BYTES).u64(2 ** 21).u64(0).name('pc.bios').u64(PAGE_BYTES).u64(0xfffff000).ramEos()
    .sectionHeader(1, 3, 'dirty-bitmap').raw(0x18).name('drive0').u32(65536).raw(1, 1).footer(3)
    .sectionHeader(4, 7, 'virtio-mem-device-early').u64(0).u64(2 ** 24).u64(2 ** 21).u32(0).u64(0).u64(5).footer(7)
    .sectionHeader(1, 5, 'vfio').u64(0xffffffffef100002n).footer(5).globalState(4, 'paused')
    .sectionHeader(1, 8, 'newdevice').raw(new Uint8Array(40).fill(0x7e)).footer(8).ramEnd().ramEos().build(),
].map(({ bytes }) => bytes)
const MULTIFD = new MultifdBuilder()
  .packet({ pages: syntheticPages(1), zeros: 2 }).packet({ flags: 1, payloadBytes: 3 * PAGE_BYTES })
  .deviceState(new Uint8Array(70).fill(0x11)).packet({ flags: 1, alloc: 0 }).build().bytes
const KNOWLEDGE = transcribe(STREAMS[1]!).reader.knowledge
const PIECES = [1, 37, 900, 5000]

/** Reads in pieces, and checks what holds for every stream, good or bad. */
function follow(bytes: Buffer, options: StreamReaderOptions): object {
  let [pages, understands, losses, pageEnd, pieceEnd, marks] = [0, true, 0, 0, 0, 0]
  const reader = createStreamReader({
    page(offset) {
      assert.ok(understands && offset >= pageEnd && offset <= pieceEnd)
      pageEnd = offset + PAGE_BYTES
      pages += 1
    },
    zeroPage: () => assert.ok(understands),
    mark() {
      assert.ok(understands)
      marks += 1
    },
    runState: (state) => assert.match(state, /^[a-z-]{1,99}$/),
    lost() {
      assert.ok(understands)
      understands = false
      losses += 1
    },
    resynchronised() {
      assert.ok(!understands)
      understands = true
    },
  }, options)
  for (let index = 0; pieceEnd < bytes.length; index++) {
    const piece = bytes.subarray(pieceEnd, pieceEnd + PIECES[index % PIECES.length]!)
    pieceEnd += piece.length
    reader.push(piece)
    assert.ok(reader.undecidedBytes <= CARRY_BYTES_MAX)
  }
  assert.ok(reader.offset === bytes.length && reader.summary.pages === pages && reader.understands === understands)
  const knowledge = reader.knowledge.toData()
  assert.ok(isKnowledgeData(knowledge), 'what one connection told can be told to the next')
  return { pages, understands, losses: Math.min(3, losses), marks, knowledge }
}

export const QEMU_TARGETS: readonly Target[] = [
  {
    name: 'stream', seeds: STREAMS, room: 4 * 2 ** 20,
    words: ['QEVM', 'pc.ram', 'ram', 'vmstate-configuration', '\x7e', '\x04', '\x01', '\x02', '\x08'],
    decode: (input) => follow(input, {}),
  },
  {
    name: 'multifd', seeds: [MULTIFD, MULTIFD.subarray(0, 2000)], room: 4 * 2 ** 20,
    words: ['\x11\x22\x33\x44\0\0\0\x01'],
    decode: (input) => follow(input, { channel: 'beside' }),
  },
  {
    name: 'resumed-stream', room: 4 * 2 ** 20, words: ['pc.ram', 'pc.bios', '\x08', '\x7e'],
    seeds: [
      new StreamBuilder().ramPart().page('pc.ram', 0, syntheticPages(1)[0]!).ramEos().ramEnd().ramEos().build().bytes,
      new StreamBuilder().command(4).ramPart().u64(0x200).ramEos().build().bytes,
    ],
    decode: (input) => follow(input, { channel: input.length % 2 === 0 ? 'main' : 'beside', continuation: KNOWLEDGE }),
  },
  {
    name: 'knowledge', seeds: [JSON.stringify(KNOWLEDGE.toData())], room: 2 ** 20,
    words: ['"ram"', '"unknown"', '"sections"', '"blocks"', '-1'],
    decode(input) {
      const data = parsed(input)
      if (!isKnowledgeData(data)) return undefined
      const again = readKnowledge(data).toData()
      assert.ok(isKnowledgeData(again))
      return again
    },
  },
  {
    name: 'return-path',
    seeds: [Buffer.from('0001000400000000', 'hex'), Buffer.from('00020000000100040000ffff', 'hex')],
    bytesMax: 4096,
    decode(input) {
      const end = new ReturnPathEnd()
      for (let at = 0; at < input.length; at += 3) end.push(input.subarray(at, at + 3))
      return end.shut
    },
  },
]

function parsed(input: Buffer): unknown {
  try {
    return JSON.parse(input.toString())
  } catch {
    // Whoever reads such a file looks at that first.
    return undefined
  }
}
