import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'

import { PAGE_BYTES } from '../../../src/page/index.ts'
import { frameHeader } from '../../../src/passage/frames.ts'
import { PASSAGE_FRAMES } from '../../../src/passage/wire.ts'
import { page, prefixesOf } from '../../support/madepages.ts'
import { settle, u32 } from '../../support/passagerelay.ts'
import { precopyStream, StreamBuilder } from '../../support/streambuilder.ts'
import { outgoingWays } from './playedways.ts'

const MIB = 2 ** 20
const STREAM = Buffer.from(precopyStream([{ name: 'pc.ram', pages: [1, 2, 3].map(page) }]).bytes)

/** A stream whose pages come in batches, undefined for one of zeros, and where each batch ends. */
function cutInBatches(batches: readonly (Buffer | undefined)[][]): { bytes: Buffer; recordOffsets: number[] } {
  const builder = new StreamBuilder().header().configuration()
    .ramStart([{ name: 'pc.ram', bytes: batches.flat().length * PAGE_BYTES }]).ramPart()
  let offset = 0
  const recordOffsets = batches.map((pages) => {
    for (const each of pages) {
      if (each === undefined) builder.zeroPage('pc.ram', offset)
      else builder.page('pc.ram', offset, each)
      offset += PAGE_BYTES
    }
    return builder.length
  })
  return { bytes: Buffer.from(builder.build().bytes), recordOffsets }
}

describe('the outgoing end of a passage and its QEMU', () => {
  it('have not ended before QEMU took all that came back', async () => {
    const { qemu, said, hear, lane } = outgoingWays()
    qemu.endStream()
    await hear('returned', Buffer.from('abc'))
    await hear('returned', Buffer.from('d'))
    await hear('returnedEnd')
    assert.deepEqual([qemu.told, said.words], [['write 3', 'write 1', 'end'], []])
    // All that was expected of the other end has come: it may close now.
    lane.close()
    qemu.take()
    await settle(3)
    assert.deepEqual(said.words, [])
    qemu.take()
    await settle(3)
    assert.deepEqual(said.words, ['ended'])
  })

  it('read on once the window has room, and no sooner', async () => {
    const { qemu, hear, passage } = outgoingWays()
    while (!qemu.told.includes('pause')) qemu.deliver(Buffer.alloc(100_000, 1))
    await settle(3)
    const taken = passage.counts().streamBytes
    assert.ok(taken >= 8 * MIB && taken < 8.5 * MIB)
    // What one read of its socket brought is taken all the same, and asks for no second pause.
    qemu.deliver(Buffer.alloc(MIB))
    await settle(3)
    assert.deepEqual(qemu.told, ['pause'])
    for (let sequence = 0; !qemu.told.includes('resume'); sequence++) await hear('ack', u32(sequence))
    assert.deepEqual(qemu.told, ['pause', 'resume'])
    passage.stop()
  })

  it('say nothing, and send nothing, once they were stopped', async () => {
    const { clock, qemu, said, passage, frames } = outgoingWays()
    qemu.deliver(STREAM.subarray(0, 100))
    passage.stop()
    const sent = frames().length
    const heard = [...said.words]
    const { streamBytes } = passage.counts()
    qemu.deliver(STREAM)
    qemu.endStream()
    qemu.close(new Error('reset'))
    await clock.run(1000)
    assert.deepEqual([said.words, frames().length, passage.counts().streamBytes], [heard, sent, streamBytes])
    assert.equal(clock.pendingCount, 0)
    assert.deepEqual(qemu.told, ['destroy'])
  })

  it('say what closed the connection too early', async () => {
    for (const fault of [new Error('reset'), undefined]) {
      const { qemu, said } = outgoingWays()
      qemu.close(fault)
      await settle(3)
      const [error] = said.errors
      assert.deepEqual([error!.code, error!.phase, error!.fault], ['qemu-connection-lost', 'handoff', 'guest'])
      assert.deepEqual([error!.cause, 'cause' in error!], [fault, fault !== undefined])
    }
  })

  it('fail when more comes back than QEMU takes, however long it takes for the rest', async () => {
    const { qemu, said, hear, lane } = outgoingWays()
    const piece = Buffer.concat([frameHeader(PASSAGE_FRAMES.returned.kind, MIB), Buffer.alloc(MIB)])
    for (let i = 0; i < 64; i++) lane.deliver(piece)
    qemu.take()
    await settle(3)
    lane.deliver(piece)
    assert.deepEqual(said.words, [])
    await hear('returned', Buffer.alloc(1))
    assert.match(said.errors[0]!.message, /more returned than its QEMU takes while the stream is streaming/)
    assert.deepEqual([said.words, qemu.told.at(-1), lane.told.at(-1)], [['failed bad-frame'], 'destroy', 'destroy'])
  })

  it('have lost nothing when the connection closes behind both its ends', async () => {
    const { qemu, said, hear } = outgoingWays()
    qemu.deliver(STREAM)
    qemu.endStream()
    await hear('returnedEnd')
    qemu.close()
    await settle(3)
    assert.deepEqual(said.errors, [])
  })

  it('send at once what QEMU wrote last of its memory, though more may come', async () => {
    const { qemu, said, frames } = outgoingWays()
    qemu.deliver(STREAM)
    await settle(3)
    assert.ok(said.words.includes('ramEnd'))
    assert.equal(frames().length, 1)
    qemu.deliver(Buffer.alloc(256 * 1024 - 1))
    await settle(3)
    const { length } = frames()
    assert.ok(length > 1)
    // A whole read says that there is more.
    qemu.deliver(Buffer.alloc(256 * 1024))
    await settle(3)
    assert.equal(frames().length, length)
  })

  it('compress the literals of a batch only if samples of them would shrink', async () => {
    const { clock, qemu, passage } = outgoingWays()
    const noise = (): Buffer => randomBytes(PAGE_BYTES)
    let number = 0
    const plain = (): Buffer => Buffer.alloc(PAGE_BYTES, `${number++} `)
    /** Seven pages that shrink, but not where samples are taken: at both ends, and in the middle. */
    const hidden = (): Buffer[] => [noise(), plain(), plain(), noise(), plain(), plain(), noise()]
    const batches = [
      hidden(), [noise(), noise()], [undefined], hidden(), Array.from({ length: 7 }, plain), hidden(),
    ]
    const { bytes, recordOffsets } = cutInBatches(batches)
    const shrunk: boolean[] = []
    for (const [index, end] of recordOffsets.entries()) {
      const before = passage.counts()
      qemu.deliver(bytes.subarray(recordOffsets[index - 1] ?? 0, end))
      await clock.run(clock.now() + 5)
      const { literal, literalWireBytes } = passage.counts()
      assert.equal(literal - before.literal, batches[index]!.filter((each) => each !== undefined).length)
      shrunk.push(literalWireBytes - before.literalWireBytes < (literal - before.literal) * PAGE_BYTES)
    }
    assert.deepEqual(shrunk, [false, false, false, false, true, false])
    passage.stop()
  })

  for (const compression of ['auto', 'always', 'never'] as const) {
    it(`compress pages that travel whole, and those that are asked back, if they shall: ${compression}`, async () => {
      const pages = ['a', 'b', 'c'].map((letter) => Buffer.alloc(PAGE_BYTES, letter))
      const { clock, qemu, passage, hear, frames } = outgoingWays({ compression, known: prefixesOf([pages[1]!]) })
      qemu.deliver(Buffer.from(precopyStream([{ name: 'pc.ram', pages }]).bytes))
      await clock.run(5)
      const { literal, literalWireBytes } = passage.counts()
      assert.equal(literal, 2)
      await hear('missing', u32(0, 0))
      const asked = frames().at(-1)!
      assert.equal(asked.name, 'pages')
      const wireBytes = [literalWireBytes, asked.bytes]
      if (compression === 'never') assert.deepEqual(wireBytes, [2 * PAGE_BYTES, 4 + PAGE_BYTES])
      else assert.ok(Math.max(...wireBytes) < 200, wireBytes.join(' '))
      passage.stop()
    })
  }
})
