import assert from 'node:assert/strict'
import { postcopyStream, precopyStream, syntheticPages } from '../../support/streambuilder.ts'
import { transcribe } from '../../support/transcript.ts'

const PIECES = [1, 7, 8, 9, 100, 4096, 4104, 65536, 10 ** 7]

describe('a whole stream', () => {
  const memory = [
    { name: 'pc.ram', pages: [...syntheticPages(5), undefined, undefined, ...syntheticPages(3, 2)] },
    { name: 'pc.bios', pages: syntheticPages(2, 3) },
    { name: '0000:00:02.0/vga.vram', pages: [undefined, ...syntheticPages(1, 4), undefined] },
  ]

  for (const pieceBytes of PIECES) {
    it(`of a pre-copy is understood to RAM's end in pieces of ${pieceBytes}`, () => {
      const built = precopyStream(memory)
      const { reader, pageOffsets, marks, losses } = transcribe(built.bytes, pieceBytes)
      assert.deepEqual(losses, [])
      assert.deepEqual(pageOffsets, built.pageOffsets)
      assert.deepEqual(marks, built.marks)
      assert.equal(reader.understands, true)
      assert.equal(reader.offset, built.bytes.length)
      assert.equal(reader.undecidedBytes, 0)
      assert.deepEqual(reader.summary, {
        pages: 11, zeroPages: 4, encodedPages: 0, unplacedPages: 0, blocks: 3, isPostcopy: false, losses: 0,
      })
    })

    it(`of a post-copy is understood to its end in pieces of ${pieceBytes}`, () => {
      const built = postcopyStream(memory, memory)
      const { reader, pageOffsets, marks, losses } = transcribe(built.bytes, pieceBytes)
      assert.deepEqual(losses, [])
      assert.deepEqual(pageOffsets, built.pageOffsets)
      assert.deepEqual(marks, built.marks)
      assert.deepEqual(marks.map(({ mark }) => mark), ['ramStart', 'package', 'handedOver', 'ramEnd', 'eof'])
      assert.equal(reader.summary.isPostcopy, true)
    })
  }
})
