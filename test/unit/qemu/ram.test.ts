import assert from 'node:assert/strict'
import { StreamBuilder, syntheticPages } from '../../support/streambuilder.ts'
import { transcribe } from '../../support/transcript.ts'

const [FIRST, SECOND] = syntheticPages(2) as [Uint8Array, Uint8Array]
const BLOCKS = [{ name: 'pc.ram', bytes: 0x2_0000_0000 }, { name: 'pc.bios', bytes: 3 * 4096 }]

function ram(): StreamBuilder {
  return new StreamBuilder().header().configuration().ramStart(BLOCKS).ramPart()
}

function assertWalked(stream: StreamBuilder): ReturnType<typeof transcribe> {
  const built = stream.build()
  assert.deepEqual(transcribe(built.bytes, 1).pageOffsets, built.pageOffsets)
  const transcript = transcribe(built.bytes)
  assert.deepEqual(transcript.losses, [])
  assert.deepEqual(transcript.pageOffsets, built.pageOffsets)
  assert.equal(transcript.reader.summary.zeroPages, built.zeroPages)
  return transcript
}

/** Appends bytes to a RAM section where the reader should stop understanding; returns why it did. */
function reasonFor(append: (stream: StreamBuilder) => unknown): string | undefined {
  const stream = ram().page('pc.ram', 0, FIRST)
  append(stream)
  const inPieces = transcribe(stream.build().bytes, 2)
  const whole = transcribe(stream.build().bytes)
  assert.equal(whole.pageOffsets.length, 1)
  assert.deepEqual(inPieces.sayings, whole.sayings)
  return whole.losses[0]
}

describe('RAM records', () => {
  it('pages and zero pages name their block only when it changes, across sections too', () => {
    assertWalked(ram()
      .page('pc.ram', 0x1_0000_3000, FIRST)   // offsets need more than 32 bits
      .zeroPage('pc.ram', 0x1_0000_4000)
      .page('pc.bios', 0, SECOND)
      .zeroPage('pc.ram', 0).ramEos()
      .ramPart().page('pc.ram', 4096, SECOND).ramEos())
  })

  it('page bytes that look like elements are not looked at', () => {
    const page = new StreamBuilder()
    while (page.length < 4096 - 64) page.ramEos().ramPart().u64(0x028)
    const bytes = Buffer.concat([page.build().bytes, new Uint8Array(4096)]).subarray(0, 4096)
    assertWalked(ram().page('pc.ram', 0, bytes).page('pc.ram', 4096, bytes).ramEos())
  })

  it('XBZRLE deltas and compressed pages pass raw and are counted', () => {
    const { reader } = assertWalked(ram()
      .record(0x040, 'pc.ram', 0).raw(0x01).u16(5).raw('delta')
      .record(0x100, 'pc.ram', 4096).u32(8).raw('deflated')
      .record(0x100, 'pc.bios', 4096).u32(0)
      .page('pc.bios', 8192, FIRST).ramEos())
    assert.equal(reader.summary.encodedPages, 3)
  })

  it('MULTIFD_FLUSH is accepted anywhere, in the setup too: 8.1.0 sends it without multifd', () => {
    assertWalked(new StreamBuilder().header().configuration()
      .ramStartHeader(4096).blocks([{ name: 'pc.ram', bytes: 4096 }]).u64(0x200).ramEos()
      .ramPart().u64(0x200).page('pc.ram', 0, FIRST).u64(0x200).ramEos()
      .ramPart().u64(0x200).ramEos())
  })

  it('says why it stops understanding', () => {
    assert.equal(reasonFor((stream) => stream.u64(0x080)), 'a RAM record with flags 0x80') // HOOK, RDMA only
    assert.equal(reasonFor((stream) => stream.u64(0x004)), 'a RAM record with flags 0x4')
    assert.equal(reasonFor((stream) => stream.u64(0)), 'a RAM record with flags 0x0')
    assert.equal(reasonFor((stream) => stream.u64(0x1010)), 'a RAM record with flags 0x10')
    assert.equal(reasonFor((stream) => stream.u64(0x00a)), 'a RAM record with flags 0xa')
    assert.equal(reasonFor((stream) => stream.u64(0x2_0000_0000 + 0x028)), 'a page outside of its RAM block')
    assert.equal(reasonFor((stream) => stream.record(0x008, 'pc.bios', 3 * 4096)), 'a page outside of its RAM block')
    assert.equal(reasonFor((stream) => stream.u64(2n ** 63n + 0x028n)), 'a page outside of its RAM block')
    assert.equal(reasonFor((stream) => stream.record(0x008, 'pc.rom', 0)), 'a page of an unknown RAM block')
    assert.equal(reasonFor((stream) => stream.u64(0x022).raw(0x01).ramEos()), 'a zero page that is not zero')
    assert.equal(reasonFor((stream) => stream.u64(0x060).raw(0x02).u16(5)), 'a page delta that is none')
    assert.equal(reasonFor((stream) => stream.u64(0x120).u32(8193)),
      'a compressed page that is larger than a page can get')
  })
})

describe('the list of RAM blocks', () => {
  const HUGE = 2 ** 21

  it('holds page sizes in post-copy where a block has other pages than the host', () => {
    assertWalked(new StreamBuilder().header().configuration().advise(HUGE | 4096)
      .ramStartHeader(2 * HUGE + 8192)
      .name('ram0').u64(HUGE).u64(HUGE)
      .name('pc.bios').u64(8192)
      .name('ram1').u64(HUGE).u64(HUGE).ramEos()         // the last one: followed by a record
      .ramPart().page('ram1', 4096, FIRST).page('pc.bios', 4096, SECOND).ramEos())
  })

  it('holds none for the last block when that has the host\'s pages', () => {
    assertWalked(new StreamBuilder().header().configuration().advise(HUGE | 4096)
      .ramStartHeader(HUGE + 8192)
      .name('ram0').u64(HUGE).u64(HUGE).name('pc.bios').u64(8192).u64(0x200).ramEos()
      .ramPart().page('pc.bios', 4096, FIRST).ramEos())
  })

  it('holds guest addresses with x-ignore-shared', () => {
    assertWalked(new StreamBuilder().header().configuration((stream) => stream.capabilities('x-ignore-shared'))
      .ramStartHeader(3 * 4096)
      .name('pc.ram').u64(8192).u64(0).name('pc.bios').u64(4096).u64(0xfffc0000).ramEos()
      .ramPart().page('pc.bios', 0, FIRST).ramEos())
  })

  it('holds both together, in either reading', () => {
    assertWalked(new StreamBuilder().header()
      .configuration((stream) => stream.capabilities('x-ignore-shared')).advise(HUGE | 4096)
      .ramStartHeader(2 * HUGE + 8192)
      .name('ram0').u64(HUGE).u64(HUGE).u64(0x1_0000_0000)
      .name('pc.bios').u64(4096).u64(0)
      .name('ram1').u64(HUGE).u64(HUGE).u64(0)
      .name('pc.rom').u64(4096).u64(0xe0000).ramEos()
      .ramPart().page('pc.rom', 0, FIRST).ramEos())
  })

  const reason = (append: (stream: StreamBuilder) => unknown): string | undefined => {
    const stream = new StreamBuilder().header().configuration()
    append(stream)
    return transcribe(stream.build().bytes, 4).losses[0]
  }

  it('is refused where it cannot be one', () => {
    assert.equal(reason((stream) => stream.ramStartHeader(4096).name('pc.ram').u64(8192)),
      'the RAM blocks are larger than RAM')
    assert.equal(reason((stream) => stream.ramStartHeader(4096).name('')), 'a RAM block without a name')
    assert.equal(reason((stream) => stream.sectionHeader(1, 2, 'ram', 4).u64(0x008)),
      'RAM does not begin with its size')
    assert.equal(reason((stream) => stream.sectionHeader(1, 2, 'ram', 4).u64(2n ** 60n + 4n)),
      'RAM is larger than any host')
    assert.equal(reason((stream) => stream.sectionHeader(1, 2, 'ram', 3).u64(4)),
      "section 'ram' has a layout that this version does not know")
    assert.equal(reason((stream) => {
      stream.ramStartHeader(4096)
      for (let i = 0; i < 1025; i++) stream.name('empty').u64(0)
    }), 'more than 1024 RAM blocks')
  })
})
