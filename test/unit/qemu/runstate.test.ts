import assert from 'node:assert/strict'
import { postcopyStream, precopyStream, RUN_STATE, StreamBuilder, syntheticPages } from '../../support/streambuilder.ts'
import { transcribe } from '../../support/transcript.ts'

const PIECES = [1, 3, 60, 133, 134, 135, 1000, 10 ** 7]
const BLOCKS = [{ name: 'pc.ram', bytes: 4096 }]
const MEMORY = [{ name: 'pc.ram', pages: syntheticPages(2) }]

/** A pre-copy up to RAM's end. */
function upToDevices(): StreamBuilder {
  return new StreamBuilder().header().configuration().ramStart(BLOCKS).ramEnd().ramEos()
}

function statesOf(stream: StreamBuilder, pieceBytes?: number): string[] {
  return transcribe(stream.build().bytes, pieceBytes).runStates
}

/** A section of which one thing is not as QEMU writes it. */
function sectionWith(change: (bytes: Buffer) => void): Uint8Array {
  const bytes = Buffer.from(new StreamBuilder().globalState(5, 'running').build().bytes)
  change(bytes)
  return bytes
}

describe('the run state', () => {
  for (const pieceBytes of PIECES) {
    it(`is found among the devices, in pieces of ${pieceBytes}`, () => {
      for (const built of [precopyStream(MEMORY), postcopyStream(MEMORY, MEMORY)]) {
        const { runStates, losses, reader } = transcribe(built.bytes, pieceBytes)
        assert.deepEqual(runStates, [RUN_STATE])
        assert.deepEqual(losses, [])
        assert.equal(reader.undecidedBytes, 0)
      }
    })
  }

  it('is found wherever it lies in the pieces', () => {
    for (let ahead = 0; ahead < 300; ahead++) {
      const stream = upToDevices().raw(new Uint8Array(ahead).fill(0x04)).globalState(7, 'paused').raw('behind')
      assert.deepEqual(statesOf(stream, 150), ['paused'], `${ahead} bytes ahead`)
    }
  })

  it('may be any of QEMU\'s', () => {
    for (const state of ['running', 'paused', 'shutdown', 'guest-panicked', 'io-error', 'finish-migrate']) {
      assert.deepEqual(statesOf(upToDevices().globalState(3, state)), [state])
    }
  })

  it('is told each time that it comes, whatever the pieces: the last one holds', () => {
    const stream = upToDevices().globalState(3, 'paused').raw('between').globalState(4, 'running')
      .globalState(5, 'shutdown')
    for (const pieceBytes of [...PIECES, 268, 402]) {
      assert.deepEqual(statesOf(stream, pieceBytes), ['paused', 'running', 'shutdown'], `pieces of ${pieceBytes}`)
    }
    for (let ahead = 0; ahead < 140; ahead++) {
      const shifted = upToDevices().raw(new Uint8Array(ahead)).globalState(3, 'paused').globalState(4, 'running')
      assert.deepEqual(statesOf(shifted, 134), ['paused', 'running'])
    }
  })

  it('is looked for behind RAM\'s end and in the package only', () => {
    const page = Buffer.alloc(4096)
    page.set(new StreamBuilder().globalState(3, 'paused').build().bytes, 100)
    assert.deepEqual(transcribe(precopyStream([{ name: 'pc.ram', pages: [page, page] }]).bytes).runStates, [RUN_STATE])
    const memory = [{ name: 'pc.ram', pages: [page, page] }]
    assert.deepEqual(transcribe(postcopyStream(memory, memory).bytes, 1000).runStates, [RUN_STATE])
    assert.deepEqual(statesOf(new StreamBuilder().raw('nonsense').globalState(3, 'paused')), [])
    // A package that ends in the middle of it tells nothing.
    const section = new StreamBuilder().command(4).globalState(3, 'paused').build().bytes
    const cut = new StreamBuilder().header().configuration().ramStart(BLOCKS).packaged(section.subarray(0, -1))
    assert.deepEqual(statesOf(cut.raw(section.subarray(-1))), [])
  })

  it('is left untold where the devices do not have it, or not all of it came', () => {
    assert.deepEqual(statesOf(upToDevices().sectionHeader(4, 9, 'cpu').raw(new Uint8Array(1000)).footer(9)), [])
    const whole = upToDevices().globalState(3, 'running').build().bytes
    assert.deepEqual(transcribe(whole.subarray(0, -1), 50).runStates, [])
    assert.deepEqual(transcribe(whole, 50).runStates, ['running'])
  })

  it('is believed only if every byte is as QEMU writes it', () => {
    const wrong: Record<string, (bytes: Buffer) => void> = {
      'another kind of section': (bytes) => { bytes[0] = 1 },
      'another instance': (bytes) => { bytes[20] = 1 },
      'another version': (bytes) => { bytes[24] = 2 },
      'no size': (bytes) => { bytes[28] = 0 },
      'an empty name': (bytes) => { bytes[28] = 1 },
      'a size beyond the field': (bytes) => { bytes[28] = 101 },
      'another size than the name\'s': (bytes) => { bytes[28] = 7 },
      'a name of other letters': (bytes) => { bytes[29] = 0x52 },
      'bytes behind the name': (bytes) => { bytes[128] = 1 },
      'no footer': (bytes) => { bytes[129] = 0 },
      'the footer of another section': (bytes) => { bytes[133] = 6 },
    }
    for (const [what, change] of Object.entries(wrong)) {
      assert.deepEqual(statesOf(upToDevices().raw(sectionWith(change))), [], what)
    }
    assert.deepEqual(statesOf(upToDevices().raw(sectionWith(() => {}))), ['running'])
  })
})
