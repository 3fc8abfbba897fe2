import assert from 'node:assert/strict'
import { StreamBuilder, syntheticPages } from '../../support/streambuilder.ts'
import { transcribe } from '../../support/transcript.ts'

const [PAGE] = syntheticPages(1) as [Uint8Array]
const BLOCKS = [{ name: 'pc.ram', bytes: 16 * 4096 }]

function withRam(stream: StreamBuilder): StreamBuilder {
  return stream.ramStart(BLOCKS).ramPart().page('pc.ram', 0, PAGE).ramEos()
}

/** What the reader says of a stream that begins with `stream` and has a RAM page behind it. */
function reading(stream: StreamBuilder): { losses: string[], pages: number, understands: boolean } {
  const { losses, pageOffsets, reader } = transcribe(withRam(stream).build().bytes, 3)
  return { losses, pages: pageOffsets.length, understands: reader.understands }
}

const FINE = { losses: [], pages: 1, understands: true }

describe('the head of a stream', () => {
  it('may hold every known subsection', () => {
    assert.deepEqual(reading(new StreamBuilder().header().configuration((stream) => stream
      .targetPageBits(12)
      .capabilities('x-ignore-shared-not', 'multifd')
      .raw(0x05).name('configuration/uuid').u32(1).raw(new Uint8Array(16).fill(0x05)))), FINE)
  })

  it('of machine types up to 2.3 has no configuration, and sections no footers', () => {
    const stream = new StreamBuilder().header()
      .sectionHeader(1, 2, 'ram', 4).u64(8192 + 4).name('pc.ram').u64(8192).u64(0x010)
      .ramPart().page('pc.ram', 0, PAGE).u64(0x010)
      .ramPart().page('pc.ram', 4096, PAGE).u64(0x010).build()
    const { losses, pageOffsets } = transcribe(stream.bytes, 11)
    assert.deepEqual(losses, [])
    assert.deepEqual(pageOffsets, stream.pageOffsets)
  })

  const rawForGood = (reason: string): object => ({ losses: [reason], pages: 0, understands: false })

  it('that tells of other page sizes makes all raw', () => {
    assert.deepEqual(reading(new StreamBuilder().header().configuration((stream) => stream.targetPageBits(16))),
      rawForGood("the guest's pages have 65536 bytes, not 4096"))
  })

  it('that tells of mapped-ram makes all raw', () => {
    assert.deepEqual(reading(new StreamBuilder().header().configuration((stream) => stream.capabilities('mapped-ram'))),
      rawForGood('mapped-ram writes pages at fixed places of a file'))
  })

  it('with an unknown subsection is passed over until RAM begins', () => {
    assert.deepEqual(reading(new StreamBuilder().header().configuration((stream) => stream
      .raw(0x05).name('configuration/colour').u32(1).raw(0x01, 0x01, 0x03, 'ram'))),
    { losses: ['the configuration has a part that this version does not know'], pages: 1, understands: true })
  })

  it('that is none makes all raw, and says what it may be', () => {
    assert.deepEqual(reading(new StreamBuilder().raw('GET / HTTP/1.1')), rawForGood('this is no QEMU migration stream'))
    assert.deepEqual(reading(new StreamBuilder().u32(0x11223344).u32(1)), rawForGood('this is a multifd channel'))
    assert.deepEqual(reading(new StreamBuilder().raw(0x16, 0x03, 0x01).u64(0)),
      rawForGood('QEMU encrypts the stream itself (tls-creds)'))
    assert.deepEqual(reading(new StreamBuilder().raw('QEVM').u32(2)), rawForGood('stream version 2, not 3'))
    assert.deepEqual(reading(new StreamBuilder().command(10, Uint8Array.of(1, 0x61))),
      rawForGood('this is no QEMU migration stream'))
  })

  it('is bounded: names and lists that are too long are not believed', () => {
    assert.deepEqual(reading(new StreamBuilder().header().raw(0x07).u32(256)).losses,
      ['the machine name is longer than 255 bytes'])
    assert.deepEqual(reading(new StreamBuilder().header().configuration((stream) => stream
      .raw(0x05).name('configuration/capabilities').u32(1).u32(65))).losses,
    ['the configuration lists more than 64 capabilities'])
  })
})
