import assert from 'node:assert/strict'
import type { StreamKnowledge } from '../../../src/qemu/index.ts'
import { StreamBuilder, syntheticPages } from '../../support/streambuilder.ts'
import { transcribe } from '../../support/transcript.ts'

const [PAGE] = syntheticPages(1) as [Uint8Array]
const BLOCKS = [{ name: 'pc.ram', bytes: 16 * 4096 }, { name: 'pc.bios', bytes: 4096 }]
const PIECES = [1, 13, 10 ** 7]

/** The main channel up to the package, as a recovered connection and a preempt channel find it. */
function firstConnection(): StreamBuilder {
  return new StreamBuilder().header().configuration().advise()
    .ramStart(BLOCKS).ramPart().page('pc.ram', 0, PAGE).ramEos()
}

function knowledgeOf(stream: StreamBuilder): StreamKnowledge {
  return transcribe(stream.build().bytes).reader.knowledge
}

function assertRead(stream: StreamBuilder, options: Parameters<typeof transcribe>[2] = {}): void {
  const built = stream.build()
  for (const pieceBytes of PIECES) {
    const { losses, pageOffsets, marks } = transcribe(built.bytes, pieceBytes, options)
    assert.deepEqual(losses, [])
    assert.deepEqual(pageOffsets, built.pageOffsets)
    assert.deepEqual(marks, built.marks)
  }
}

describe('post-copy', () => {
  it('commands are read, the package is passed over whole, and RAM goes on behind it', () => {
    assertRead(firstConnection()
      .ramPart().u64(0x200).ramEos()                                  // 10.1+: a part without pages
      .command(11)                                                    // SWITCHOVER_START, 10.0+
      .command(6, new StreamBuilder().raw(0).name('pc.ram').raw(0).u64(0).u64(4096).build().bytes)
      .command(2, Uint8Array.of(0, 0, 0, 2))
      .packaged(new StreamBuilder().command(4).ramPart().u64(0x028).raw(0x00).command(5).build().bytes)
      .command(2, Uint8Array.of(0, 0, 0, 4))
      .ramPart().page('pc.ram', 8192, PAGE).ramEos()
      .ramEnd().zeroPage('pc.bios', 0).ramEos()
      .sectionHeader(1, 3, 'dirty-bitmap').raw(0x01).footer(3).raw(0x03).u32(3).raw(0x01).footer(3)
      .eof())
  })

  it('ADVISE without RAM (dirty bitmaps only) and commands of later versions are read', () => {
    assertRead(new StreamBuilder().header().configuration()
      .command(3).command(8).command(12, new Uint8Array(300).fill(0x7e)).command(63)
      .ramStart(BLOCKS).ramPart().page('pc.ram', 0, PAGE).ramEos())
  })

  it('commands that cannot be are not believed', () => {
    for (const [number, payloadBytes] of [[0, 0], [2, 3], [7, 5], [64, 0]] as const) {
      const { losses } = transcribe(firstConnection().command(number, new Uint8Array(payloadBytes)).build().bytes)
      assert.deepEqual(losses, [`a command ${number} with ${payloadBytes} bytes`])
    }
  })

  it('is recovered on a new connection that has neither header nor blocks', () => {
    const continuation = knowledgeOf(firstConnection().packaged(new StreamBuilder().command(4).build().bytes))
    assertRead(new StreamBuilder()
      .command(10, new StreamBuilder().name('pc.ram').build().bytes)  // RECV_BITMAP
      .command(10, new StreamBuilder().name('pc.bios').build().bytes)
      .command(9)                                                     // POSTCOPY_RESUME
      .ramPart().page('pc.ram', 4096, PAGE).zeroPage('pc.ram', 8192).ramEos()
      .ramEnd().ramEos().eof(), { continuation })
  })

  it('has a preempt channel of bare records, which may be opened before the blocks are known', () => {
    const continuation = knowledgeOf(firstConnection())
    assertRead(new StreamBuilder()
      .page('pc.ram', 4096, PAGE).page('pc.ram', 8192, PAGE).page('pc.bios', 0, PAGE).u64(0x010),
    { channel: 'beside', continuation })
    assertRead(new StreamBuilder().u64(0x010).raw('nothing follows'), { channel: 'beside' })
  })

  it('a preempt channel that is not understood stays raw', () => {
    const stream = new StreamBuilder().page('pc.ram', 0, PAGE).ramPart().u64(0x010).build()
    const { losses, reader } = transcribe(stream.bytes, 1, { channel: 'beside' })
    assert.deepEqual(losses, ['a page of an unknown RAM block'])
    assert.equal(reader.understands, false)
  })
})

describe('finding the way again', () => {
  it('takes the device package for what it is', () => {
    const stream = firstConnection().raw('noise\x08\x00\x07\x00')
      .packaged(new StreamBuilder().command(4).raw('devices').build().bytes)
      .forgetBlock().ramPart().page('pc.ram', 4096, PAGE).ramEos().ramEnd().ramEos().eof().build()
    for (const pieceBytes of PIECES) {
      const { marks, pageOffsets, losses } = transcribe(stream.bytes, pieceBytes)
      assert.equal(losses.length, 1)
      assert.deepEqual(marks, stream.marks)
      assert.deepEqual(pageOffsets, stream.pageOffsets)
    }
  })

  it('announces records of an unnamed block only after three of them', () => {
    const stream = firstConnection().raw(0xff).ramPart()
    for (let page = 0; page < 5; page++) stream.page('pc.ram', page * 4096, PAGE)
    const built = stream.ramEos().build()
    for (const pieceBytes of PIECES) {
      const { pageOffsets, losses, reader } = transcribe(built.bytes, pieceBytes)
      assert.equal(losses.length, 1)
      assert.deepEqual(pageOffsets, [built.pageOffsets[0], ...built.pageOffsets.slice(4)])
      assert.equal(reader.summary.unplacedPages, 3)
    }
  })

  it('does not take an illegal first record for RAM', () => {
    for (const record of [0x080, 0x000, 16 * 4096 + 0x028, 0x1010, 0x004]) {
      const { sayings } = transcribe(firstConnection().raw(0xff).ramPart().u64(record).raw('more').build().bytes)
      assert.equal(sayings.at(-1)?.says, 'lost')
    }
  })

  it('does not stay where what looked right was wrong', () => {
    const stream = firstConnection().raw(0xff)
    for (let id = 100; id < 2000; id++) stream.sectionHeader(1, id, 'ram', 4).u64(0x004)
    const { sayings } = transcribe(stream.build().bytes)
    assert.match(JSON.stringify(sayings.at(-1)), /more than 1024 sections/)
  })
})
