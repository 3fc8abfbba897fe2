import assert from 'node:assert/strict'
import { MultifdBuilder, type Packet } from '../../support/multifdstream.ts'
import { syntheticPages } from '../../support/streambuilder.ts'
import { transcribe } from '../../support/transcript.ts'

const PAGES = syntheticPages(3)
const PIECES = [1, 13, 4096, 5000, 10 ** 7, [64, 1344, 4096], [63, 1345, 4095, 1]]
const SYNC = 1

function assertRead(stream: MultifdBuilder): void {
  const built = stream.build()
  for (const pieces of PIECES) {
    const { losses, pageOffsets, reader } = transcribe(built.bytes, pieces, { channel: 'beside' })
    assert.deepEqual(losses, [])
    assert.deepEqual(pageOffsets, built.pageOffsets)
    assert.equal(reader.summary.pages, built.pageOffsets.length)
    assert.equal(reader.summary.zeroPages, built.zeroPages)
  }
}

describe('a multifd channel', () => {
  it('is known by its first bytes, and its pages are announced', () => {
    assertRead(new MultifdBuilder().packet({ pages: PAGES }).packet({ pages: PAGES.slice(1) }).packet({ flags: SYNC }))
    assertRead(new MultifdBuilder(255))
  })

  it('may carry half a MiB in one packet', () => {
    assertRead(new MultifdBuilder().packet({ pages: syntheticPages(128) }).packet({ pages: PAGES }))
  })

  it('repeats the payload of the packet before where a packet has none (up to 8.1)', () => {
    assertRead(new MultifdBuilder().packet({ pages: PAGES })
      .packet({ flags: SYNC, payloadBytes: 3 * 4096 }).packet({ pages: PAGES })
      .packet({ payloadBytes: 0xffff_ffff }).packet({ pages: PAGES }))
  })

  it('may have pages in a packet that asks for a meeting (before 9.0)', () => {
    assertRead(new MultifdBuilder().packet({ flags: SYNC, pages: PAGES }).packet({ pages: PAGES }))
  })

  it('may have an empty header for a meeting (9.0 and later)', () => {
    assertRead(new MultifdBuilder().packet({ flags: SYNC, alloc: 0 }).packet({ pages: PAGES }))
  })

  it('counts zero pages (9.0 and later)', () => {
    assertRead(new MultifdBuilder().packet({ pages: PAGES, zeros: 125 }).packet({ zeros: 128 })
      .packet({ pages: PAGES }))
  })

  it('has the states of devices between its pages (10.0 and later)', () => {
    assertRead(new MultifdBuilder().deviceState(new Uint8Array(0)).packet({ pages: PAGES })
      .deviceState(new Uint8Array(10_000).fill(0x11)).packet({ pages: PAGES }))
  })

  it('that QEMU compresses passes raw, and says why once', () => {
    for (let method = 1; method <= 16; method *= 2) {
      const stream = new MultifdBuilder().packet({ flags: method << 1 | SYNC })
        .packet({ flags: method << 1, pages: PAGES, payloadBytes: 5, payload: new Uint8Array(5) })
        .packet({ flags: method << 1, pages: PAGES, payloadBytes: 5, payload: new Uint8Array(5) })
        .packet({ pages: PAGES }).build()
      for (const pieces of PIECES) {
        const { losses, pageOffsets, reader } = transcribe(stream.bytes, pieces, { channel: 'beside' })
        assert.deepEqual(losses, ['QEMU compresses on this channel'])
        assert.deepEqual(pageOffsets, [])
        assert.equal(reader.understands, false)
      }
    }
  })

  const bad: [string, Packet][] = [
    ['a multifd packet with too many pages', { alloc: 129 }],
    ['a multifd packet with too many pages', { pages: PAGES, zeros: 126 }],
    ['a multifd packet with too many pages', { zeros: 0xffff_ffff }],
    ['multifd pages of another size', { pages: PAGES, payloadBytes: 3 * 16384 }],
    ['a multifd packet with flags 0x80', { flags: 0x80 }],
    ['a multifd packet with flags 0x80000000', { flags: 0x8000_0000 }],
  ]
  for (const [why, packet] of bad) {
    it(`passes raw for good behind ${why}: ${JSON.stringify({ ...packet, pages: packet.pages?.length })}`, () => {
      const stream = new MultifdBuilder().packet({ pages: PAGES }).packet(packet).packet({ pages: PAGES }).build()
      const { losses, pageOffsets } = transcribe(stream.bytes, 100, { channel: 'beside' })
      assert.deepEqual(losses, [why])
      assert.deepEqual(pageOffsets, stream.pageOffsets.slice(0, 3))
    })
  }

  it('passes raw for good where no packet begins, or one of a later version', () => {
    const begun = (): MultifdBuilder => new MultifdBuilder().packet({ pages: PAGES })
    for (const [stream, why] of [
      [begun().raw('noise of some bytes'), 'no multifd packet where one should begin'],
      [begun().raw(0x11, 0x22, 0x33, 0x44, 0, 0, 0, 2), 'multifd version 2, not 1'],
    ] as const) {
      const { losses } = transcribe(stream.packet({ pages: PAGES }).build().bytes, 1, { channel: 'beside' })
      assert.deepEqual(losses, [why])
    }
  })
})
