import assert from 'node:assert/strict'
import { isKnowledgeData, readKnowledge, type StreamKnowledgeData } from '../../../src/qemu/index.ts'
import { postcopyStream, StreamBuilder, syntheticPages } from '../../support/streambuilder.ts'
import { transcribe } from '../../support/transcript.ts'

const [PAGE] = syntheticPages(1) as [Uint8Array]
const MEMORY = [
  { name: 'pc.ram', pages: syntheticPages(3) }, { name: 'pc.bios', pages: syntheticPages(1) },
  { name: '\x7f\x00', pages: syntheticPages(1) },
]

function toldData(): StreamKnowledgeData {
  return transcribe(postcopyStream(MEMORY, MEMORY).bytes).reader.knowledge.toData()
}

describe('what a connection told', () => {
  it('goes through JSON, and a recovered connection is read with it', () => {
    const data = JSON.parse(JSON.stringify(toldData())) as unknown
    assert.ok(isKnowledgeData(data))
    assert.deepEqual(readKnowledge(data).toData(), toldData())
    assert.deepEqual(data.blocks.map(({ name }) => name), ['pc.ram', 'pc.bios', '\x7f\x00'])
    assert.ok(data.isPostcopy)
    const blocks = [{ name: '\xe4\xff', bytes: 4096 }]
    assert.deepEqual(readKnowledge({ ...data, blocks }).toData().blocks, blocks)
    const built = new StreamBuilder()
      .command(10, new StreamBuilder().name('pc.ram').build().bytes).command(9)
      .ramPart().page('pc.ram', 4096, PAGE).page('\x7f\x00', 0, PAGE).ramEos().ramEnd().ramEos().eof().build()
    const { losses, pageOffsets, marks } = transcribe(built.bytes, 7, { continuation: readKnowledge(data) })
    assert.deepEqual(losses, [])
    assert.deepEqual(pageOffsets, built.pageOffsets)
    assert.deepEqual(marks, built.marks)
  })

  it('is told from what it is not', () => {
    const good = toldData()
    const [block] = good.blocks
    const bad: Record<string, unknown> = {
      'nothing': undefined,
      'null': null,
      'a text': 'data',
      'another version': { ...good, version: 2 },
      'no blocks': { ...good, blocks: {} },
      'too many blocks': { ...good, blocks: new Array(1025).fill(block) },
      'a block without a name': { ...good, blocks: [{ ...block, name: '' }] },
      'a name that is too long': { ...good, blocks: [{ ...block, name: 'x'.repeat(256) }] },
      'a name that is not bytes': { ...good, blocks: [{ ...block, name: '\u0141' }] },
      'a length that is no number': { ...good, blocks: [{ ...block, bytes: '4096' }] },
      'a negative length': { ...good, blocks: [{ ...block, bytes: -1 }] },
      'a block that is none': { ...good, blocks: [null] },
      'no sections': { ...good, sections: 3 },
      'too many sections': { ...good, sections: new Array(1025).fill(good.sections[0]) },
      'a section of no kind': { ...good, sections: [{ id: 2, kind: 'toString' }] },
      'a section without an id': { ...good, sections: [{ id: -1, kind: 'ram' }] },
      'an id beyond 32 bits': { ...good, sections: [{ id: 2 ** 32, kind: 'ram' }] },
      'a RAM section that is none': { ...good, ramSection: 0.5 },
      'a flag that is none': { ...good, hasFooters: 1 },
    }
    for (const [what, data] of Object.entries(bad)) assert.equal(isKnowledgeData(data), false, what)
    assert.ok(isKnowledgeData(good))
    assert.throws(() => readKnowledge(bad['another version'] as StreamKnowledgeData))
  })
})
