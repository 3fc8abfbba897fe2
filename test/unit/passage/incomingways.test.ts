import assert from 'node:assert/strict'

import type { PageSource } from '../../../src/page/index.ts'
import { bodyOf, encode, NOTHING, page, prefixesOf } from '../../support/madepages.ts'
import { settle } from '../../support/passagerelay.ts'
import { precopyStream } from '../../support/streambuilder.ts'
import { incomingWays } from './playedways.ts'

const MIB = 2 ** 20
const STREAM = Buffer.from(precopyStream([{ name: 'pc.ram', pages: [1, 2, 3].map(page) }]).bytes)

describe('the incoming end of a passage and its QEMU', () => {
  it('hold QEMU back from a mebibyte that waits for the lane on, until all of it has left', async () => {
    const { qemu, lane } = incomingWays()
    lane.hasRoom = false
    qemu.deliver(Buffer.alloc(MIB - 1))
    assert.deepEqual(qemu.told, [])
    qemu.deliver(Buffer.alloc(1))
    qemu.deliver(Buffer.alloc(1))
    assert.deepEqual(qemu.told, ['pause'])
    for (const told of [['pause'], ['pause'], ['pause', 'resume']]) {
      await settle(3)
      lane.drain()
      await settle(3)
      assert.deepEqual(qemu.told, told)
    }
    qemu.deliver(Buffer.alloc(10))
    assert.deepEqual(qemu.told, ['pause', 'resume'])
  })

  it('pass what comes back on in pieces that a frame holds', async () => {
    const { qemu, frames } = incomingWays()
    qemu.deliver(Buffer.alloc(2 * MIB + 5))
    await settle(3)
    assert.deepEqual(frames(), [MIB, MIB, 5].map((bytes) => ({ name: 'returned', bytes })))
  })

  it('acknowledge a batch when QEMU took it and none is left or eight are, and hand over one at a time', async () => {
    const { qemu, passage, hear, frames } = incomingWays()
    const pages = Array.from({ length: 20 }, (_, number) => page(number))
    const stream = Buffer.from(precopyStream([{ name: 'pc.ram', pages }]).bytes)
    const bodies = encode(stream, NOTHING, [5000], [true]).map(bodyOf)
    assert.ok(bodies.length > 16)
    for (const body of bodies) await hear('batch', body)
    assert.deepEqual([qemu.told.length, frames(), passage.counts().streamBytes], [1, [], 0])
    qemu.take()
    await settle(3)
    // Others are here: their acks take along this one.
    assert.deepEqual([qemu.told.length, frames()], [2, []])
    await hear('streamEnd')
    for (let taken = 2; taken <= bodies.length; taken++) {
      assert.ok(!qemu.told.includes('end'))
      qemu.take()
      await settle(3)
      const acknowledged = taken === bodies.length ? taken : taken - taken % 8
      assert.deepEqual(frames().filter(({ name }) => name === 'ack').length, acknowledged)
    }
    assert.equal(qemu.told.at(-1), 'end')
    assert.equal(passage.counts().streamBytes, stream.length)
  })

  for (const gives of [true, false]) {
    const then = gives ? 'gives a page' : 'has nothing'
    it(`hand over nothing, and ask for nothing, once they were stopped, if a source ${then} then`, async () => {
      let go: () => void = () => {}
      const source: PageSource = {
        kind: 'store',
        fill: async (batch) => {
          await new Promise<void>((resolve) => { go = resolve })
          if (!gives) return
          page(1).copy(batch.bytes)
          batch.markFilled(0, 'store')
        },
      }
      const { clock, qemu, said, passage, hear, frames } = incomingWays([source])
      for (const batch of encode(STREAM, prefixesOf([page(1)]))) await hear('batch', bodyOf(batch))
      passage.stop()
      go()
      qemu.close(new Error('reset'))
      qemu.endStream()
      await settle(5)
      assert.deepEqual([qemu.told, said.words, frames()], [['destroy'], [], []])
      assert.equal(clock.pendingCount, 0)
    })
  }

  it('have not ended where they were stopped before, whatever comes then', async () => {
    const { qemu, said, passage, hear } = incomingWays()
    await hear('batch', bodyOf(encode(Buffer.from('abc'), NOTHING)[0]!))
    await hear('streamEnd')
    passage.stop()
    qemu.take()
    qemu.endStream()
    await settle(5)
    assert.deepEqual([qemu.told, said.words], [['write 3', 'destroy'], []])
  })

  it('wait no more for pages that were asked back once they were stopped', async () => {
    const { clock, said, passage, hear, frames } = incomingWays()
    for (const batch of encode(STREAM, prefixesOf([page(1)]))) await hear('batch', bodyOf(batch))
    assert.deepEqual(frames().map(({ name }) => name), ['missing'])
    passage.stop()
    await settle(5)
    assert.deepEqual([said.words, clock.pendingCount], [[], 0])
  })

  it('have ended when both QEMUs have, and not before', async () => {
    const { qemu, said, hear, lane } = incomingWays()
    qemu.endStream()
    await settle(3)
    assert.deepEqual(said.words, [])
    await hear('streamEnd')
    assert.deepEqual([said.words, qemu.told], [['ended'], ['end']])
    assert.equal(lane.told.at(-1), 'end')
    qemu.close()
    await settle(3)
    assert.deepEqual(said.words, ['ended'])
  })

  it('say what closed the connection too early, and what QEMU did not take', async () => {
    const fault = new Error('reset')
    const closed = incomingWays()
    closed.qemu.close(fault)
    const refused = incomingWays()
    refused.qemu.write = async () => { throw fault }
    for (const batch of encode(STREAM, NOTHING)) await refused.hear('batch', bodyOf(batch))
    await settle(3)
    for (const { said: { errors: [error] } } of [closed, refused]) {
      assert.deepEqual(
        [error!.code, error!.phase, error!.fault, error!.cause], ['qemu-connection-lost', 'handoff', 'guest', fault],
      )
      assert.match(error!.message, /^The destination QEMU/)
    }
  })

  it('say once that nothing comes back any more where QEMU may hang up, however that is noticed', async () => {
    const { qemu, said, hear, frames } = incomingWays([], { mayHangUp: true })
    qemu.write = async () => { throw new Error('broken pipe') }
    for (const batch of encode(STREAM, NOTHING)) await hear('batch', bodyOf(batch))
    qemu.endStream()
    qemu.close()
    await settle(3)
    assert.equal(frames().filter(({ name }) => name === 'returnedEnd').length, 1)
    assert.deepEqual(said.errors, [])
  })

  it('wait a minute for pages that were asked back', async () => {
    const { clock, said, hear, lane } = incomingWays()
    for (const batch of encode(STREAM, prefixesOf([page(1)]))) await hear('batch', bodyOf(batch))
    const alive = clock.every(1000, () => lane.deliver(Buffer.from('00000000ff', 'hex')))
    await clock.run(59_999)
    assert.deepEqual(said.errors, [])
    await clock.run(60_000)
    assert.deepEqual(said.errors.map(({ code, phase }) => [code, phase]), [['timeout', 'handoff']])
    alive.cancel()
    assert.equal(clock.pendingCount, 0)
  })
})
