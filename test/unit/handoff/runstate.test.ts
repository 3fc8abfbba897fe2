import assert from 'node:assert/strict'

import type { StreamKnowledgeData } from '../../../src/qemu/index.ts'
import type { HandoffResult } from '../../../src/transfer/index.ts'
import { Ends } from '../../support/bothends.ts'
import { until } from '../../support/passagerelay.ts'
import { postcopyStream, StreamBuilder } from '../../support/streambuilder.ts'

const BLOCKS = [{ name: 'pc.ram', pages: [undefined, undefined] }]

/** A stream up to the devices, and what they tell of the guest, if anything. */
function streamOf(state?: string): Uint8Array {
  const builder = new StreamBuilder().header().configuration().ramStart([{ name: 'pc.ram', bytes: 4096 }])
    .ramEnd().ramEos()
  return (state === undefined ? builder : builder.globalState(1, state)).raw(0x00).build().bytes
}

/** Both QEMUs say that all is done. */
async function complete(ends: Ends, result: Promise<HandoffResult>): Promise<HandoffResult> {
  ends.destination.become('completed')
  await ends.wait()
  ends.source.become('completed')
  return await result
}

/** Both agents were restarted after a post-copy was cut. */
async function restartCut(ends: Ends): Promise<void> {
  ends.source.status = 'postcopy-paused'
  ends.destination.status = 'postcopy-paused'
  ends.destination.guest = 'running'
  await ends.outgoing.restart({ as: 'cut', runState: 'running' }, true)
  await ends.incoming.restart({ as: 'cut', runState: 'running' }, true)
}

describe('what a guest was doing at switchover', () => {
  it('is what its stream tells: it arrives as that, and was not missed while it did not run', async () => {
    for (const seen of ['paused', 'running'] as const) {
      const ends = new Ends()
      ends.source.guest = seen
      const { result } = await ends.move()
      await ends.send(streamOf('paused'))
      const said = await complete(ends, result)
      assert.deepEqual([said.status, said.arrivedState, said.downtimeMs], ['completed', 'paused', null])
      assert.ok(ends.destination.told.includes('release paused'))
    }
  })

  it('is what was seen last, not what was seen first, where the stream does not tell', async () => {
    for (const [first, last] of [['paused', 'paused'], ['running', 'paused'], ['paused', 'running']] as const) {
      const ends = new Ends()
      ends.source.guest = first
      const { result } = await ends.move()
      await ends.wait(250)
      ends.source.guest = last
      await ends.wait(250)
      for (const own of ['finish-migrate', 'postmigrate'] as const) {
        ends.source.guest = own
        await ends.wait(250)
      }
      assert.equal((await complete(ends, result)).arrivedState, last)
    }
  })

  it('is what was seen before QEMU was told to migrate, where nothing was seen since', async () => {
    const ends = new Ends()
    ends.source.guest = 'suspended'
    const { result } = await ends.move()
    ends.source.guest = 'finish-migrate'
    assert.equal((await complete(ends, result)).arrivedState, 'suspended')
  })

  it('is not what it does once its devices are on their way', async () => {
    const ends = new Ends()
    const { result } = await ends.move()
    await ends.send(streamOf())
    ends.source.guest = 'paused'
    await ends.wait(1000)
    assert.equal((await complete(ends, result)).arrivedState, 'running')
  })

  it('is not told by a word that no QEMU has today', async () => {
    const ends = new Ends()
    const { result } = await ends.move()
    await ends.send(streamOf('hibernated'))
    assert.equal((await complete(ends, result)).arrivedState, 'running')
  })

  it('is what the stream of a post-copy tells, whatever was seen before', async () => {
    const ends = new Ends({ mode: 'postcopy' })
    ends.source.guest = 'paused'
    const { result } = await ends.serve(postcopyStream(BLOCKS, BLOCKS).bytes)
    ends.destination.become('completed')
    assert.equal((await result).arrivedState, 'running')
  })
})

describe('a stream that is not understood', () => {
  const ODD = Buffer.alloc(100, 0xee)

  async function assertPassed(ends: Ends, bytes: Uint8Array): Promise<void> {
    ends.source.qemu!.write(bytes)
    await ends.wait(100)
    assert.ok(ends.destination.qemu!.received.includes(ODD))
    assert.equal(ends.logged.at(-1)!.message, 'QEMU stream not understood, passing it raw')
  }

  it('passes raw in pre-copy, and the guest moves all the same', async () => {
    const ends = new Ends()
    const { result } = await ends.move()
    await assertPassed(ends, ODD)
    const said = await complete(ends, result)
    assert.deepEqual([said.status, said.rawBytes, said.pages.total], ['completed', ODD.length, 0])
  })

  it('passes raw in a post-copy that has switched over: then there is no way back', async () => {
    const ends = new Ends({ mode: 'postcopy' })
    const { bytes } = postcopyStream(BLOCKS, BLOCKS)
    const { result } = await ends.serve(bytes.subarray(0, -14))
    await assertPassed(ends, ODD)
    assert.equal(ends.outgoing.state.at, 'serving')
    ends.destination.become('completed')
    assert.equal((await result).status, 'completed')
  })

  it('passes raw in a post-copy that goes on after a restart, of which nothing is known', async () => {
    const ends = await new Ends({ mode: 'postcopy' }).start()
    await restartCut(ends)
    const result = ends.outgoing.run()
    await until(() => ends.outgoing.state.at === 'serving' && ends.destination.qemu !== undefined)
    await assertPassed(ends, ODD)
    assert.equal(ends.outgoing.state.at, 'serving')
    ends.destination.become('completed')
    assert.equal((await result).status, 'completed')
  })

  it('gives a post-copy up before it switches over', async () => {
    const ends = new Ends({ mode: 'postcopy' })
    const { result } = await ends.move()
    ends.source.qemu!.write(ODD)
    const said = await result
    assert.equal(said.code, 'stream-not-understood')
    assert.match(said.reason!, /Hand it over with --mode precopy/)
  })
})

describe('what a stream told', () => {
  const PAGE = Buffer.alloc(4096, 7)
  /** What a connection says that goes on with a post-copy: a page, of a block that an earlier one announced. */
  const RESUMED = new StreamBuilder().command(9).ramPart().page('pc.ram', 4096, PAGE).ramEos().build().bytes

  async function resume(ends: Ends): Promise<void> {
    await until(() => ends.outgoing.state.at === 'serving' && ends.incoming.state.at === 'serving')
    await ends.wait()
    ends.source.qemu!.write(RESUMED)
    await until(() => ends.destination.qemu!.received.equals(RESUMED))
  }

  it('is known to the connections that go on with its post-copy, each time it is cut', async () => {
    const ends = new Ends({ mode: 'postcopy' })
    await ends.serve(postcopyStream(BLOCKS, BLOCKS).bytes)
    await ends.cut()
    void ends.outgoing.run()
    await resume(ends)
    await ends.cut()
    const again = ends.outgoing.run()
    await resume(ends)
    ends.destination.become('completed')
    const said = await again
    assert.deepEqual([said.channels, said.pages.literal], [3, 2])
  })

  it('is written down, and known again after a restart', async () => {
    let known: StreamKnowledgeData | undefined
    const first = new Ends({ mode: 'postcopy', outgoing: {
      record: async (as, _runState, knowledge) => { if (as === 'cut') known = knowledge },
    } })
    await first.serve(postcopyStream(BLOCKS, BLOCKS).bytes)
    await first.cut()
    const ends = await new Ends({ mode: 'postcopy', outgoing: { continuation: known! } }).start()
    await restartCut(ends)
    const again = ends.outgoing.run()
    await resume(ends)
    ends.destination.become('completed')
    assert.equal((await again).pages.literal, 1)
  })
})
