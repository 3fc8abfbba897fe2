import assert from 'node:assert/strict'
import { RAM_SECTION, StreamBuilder, syntheticPages } from '../../support/streambuilder.ts'
import { transcribe } from '../../support/transcript.ts'

const [PAGE] = syntheticPages(1) as [Uint8Array]
const BLOCKS = [{ name: 'pc.ram', bytes: 16 * 4096 }]
const PIECES = [1, 5, 10 ** 7]

/** A stream up to where `section` belongs in the setup, then RAM with one page and RAM's end. */
function withSetup(section: (builder: StreamBuilder) => unknown): StreamBuilder {
  const builder = new StreamBuilder().header().configuration().ramStart(BLOCKS)
  section(builder)
  return builder.ramPart().page('pc.ram', 0, PAGE).ramEos().ramEnd().ramEos()
}

/** Whether the reader walks the whole stream and sees the page behind the section. */
function assertWalked(builder: StreamBuilder): void {
  const built = builder.build()
  for (const pieceBytes of PIECES) {
    const { losses, pageOffsets, marks } = transcribe(built.bytes, pieceBytes)
    assert.deepEqual(losses, [])
    assert.deepEqual(pageOffsets, built.pageOffsets)
    assert.deepEqual(marks, built.marks)
  }
}

describe('sections beside RAM', () => {
  it('dirty-bitmap is walked in setup, part and with every chunk', () => {
    assertWalked(withSetup((stream) => stream
      .sectionHeader(1, 3, 'dirty-bitmap')
      .raw(0x18).name('drive0')                          // START with node name ...
      .u32(65536).raw(0x01)                              // ... granularity, flags
      .raw(0x14).name('bitmap0').u32(65536).raw(0x00)    // START with bitmap name
      .raw(0x01).footer(3)                               // EOS
      .raw(0x02).u32(3)
      .raw(0x48).name('drive0').u64(0).u32(128).u64(16).raw(new Uint8Array(16).fill(0x7e)) // BITS
      .raw(0x42).u64(128).u32(128)                       // BITS that are all zero: no bytes
      .raw(0x20)                                         // COMPLETE
      .raw(0x80, 0x42).u64(0).u32(1)                     // flags in two bytes
      .raw(0x80, 0x80, 0x00, 0x01).footer(3)))           // EOS in four
  })

  it('vfio is walked by its tags', () => {
    const tag = (low: number): bigint => 0xffffffff00000000n + BigInt(low)
    assertWalked(withSetup((stream) => stream
      .sectionHeader(1, 5, '0000:00:05.0/vfio')
      .u64(tag(0xef100003)).u64(tag(0xef100001)).footer(5)                        // SETUP, END
      .raw(0x02).u32(5).u64(tag(0xef100004)).u64(5).raw('state')                  // DATA
      .u64(tag(0xef100004)).u64(0).u64(tag(0xef100005)).footer(5)))               // DATA, INIT_DATA_SENT ends the body
  })

  it('vfio configuration without a length ends at the end tag with its own footer', () => {
    const tag = (low: number): bigint => 0xffffffff00000000n + BigInt(low)
    assertWalked(withSetup((stream) => stream
      .sectionHeader(1, 5, '0000:00:05.0/vfio').u64(tag(0xef100003)).u64(tag(0xef100001)).footer(5)
      .raw(0x03).u32(5).u64(tag(0xef100002)).raw('opaque').u64(tag(0xef100001)).footer(6)
      .raw(0xff, 0xff).u64(tag(0xef100001)).footer(5)))
  })

  it('block (up to QEMU 9.0) is walked, and comes before RAM', () => {
    const disk = new Uint8Array(2 ** 20).fill(0x02)
    assertWalked(new StreamBuilder().header().configuration()
      .sectionHeader(1, 1, 'block')
      .u64(8 << 9 | 0x01).name('drive0').raw(disk)
      .u64(9 << 9 | 0x09).name('drive0')                 // a zero block: no bytes
      .u64(50 << 9 | 0x04).u64(0x02).footer(1)           // progress, EOS
      .ramStart(BLOCKS).ramPart().page('pc.ram', 4096, PAGE).ramEos().ramEnd().ramEos())
  })

  it('spapr/htab is walked in setup and in parts', () => {
    assertWalked(withSetup((stream) => stream
      .sectionHeader(1, 7, 'spapr/htab').u32(24).footer(7)
      .raw(0x02).u32(7).u32(0)
      .u32(100).u16(2).u16(9).raw(new Uint8Array(32).fill(0x03))
      .u32(0).u16(0).u16(1)                              // index 0 is no end while a count is given
      .u32(0).u16(0).u16(0).footer(7)
      .raw(0x02).u32(7).u32(0xffffffff).footer(7)))
  })

  it('s390-storage_attributes is walked to its end mark', () => {
    assertWalked(withSetup((stream) => stream
      .sectionHeader(1, 8, 's390-storage_attributes').u64(1).footer(8)
      .raw(0x02).u32(8).u64(0x5000 | 2).u64(3).raw(1, 2, 3).u64(8).u64(1).footer(8)))
  })

  it('virtio-mem-device-early is walked as a FULL section in the setup, by path or bare', () => {
    for (const name of ['0000:00:03.0/virtio-mem-device-early', 'virtio-mem-device-early']) {
      assertWalked(withSetup((stream) => stream
        .sectionHeader(4, 11, name)
        .u64(0x1_0000_0000).u64(130 * 2 ** 21).u64(2 ** 21).u32(0).u64(2 ** 30)
        .raw(new Uint8Array(3 * 8).fill(0x7e)).footer(11)))
    }
  })

  it('an unknown section passes raw and reading goes on behind its footer', () => {
    const opaque = Buffer.concat([Buffer.from([0x7e, 0, 0, 0, 12, 0xff]), new Uint8Array(700).fill(0x7e)])
    const stream = withSetup((setup) => setup
      .sectionHeader(1, 12, 'newdevice').raw(opaque).footer(12)
      .command(2, Uint8Array.of(0, 0, 0, 1))
      .raw(0x02).u32(12).raw('more').footer(12)).build()
    for (const pieceBytes of PIECES) {
      const { losses, pageOffsets, sayings } = transcribe(stream.bytes, pieceBytes)
      assert.deepEqual(losses, [
        "section 'newdevice' has a layout that this version does not know",
        'section 12 has a layout that this version does not know',
      ])
      assert.deepEqual(pageOffsets, stream.pageOffsets)
      assert.equal(sayings.filter(({ says }) => says === 'resynchronised').length, 2)
    }
  })

  it('a footer with the wrong number is not believed', () => {
    const stream = new StreamBuilder().header().configuration().ramStart(BLOCKS)
      .ramPart().u64(0x010).footer(RAM_SECTION + 1)
      .ramPart().page('pc.ram', 0, PAGE).ramEos().build()
    const { losses, pageOffsets } = transcribe(stream.bytes)
    assert.deepEqual(losses, ['a section does not end where it should'])
    assert.deepEqual(pageOffsets, stream.pageOffsets)
  })

  it('a part of a section that never started is not believed', () => {
    const { losses } = transcribe(new StreamBuilder().header().configuration().raw(0x02).u32(2).build().bytes)
    assert.deepEqual(losses, ['section 2 never started'])
  })
})
