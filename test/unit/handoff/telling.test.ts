import assert from 'node:assert/strict'

import type { Reason } from '../../../src/conversation/conversation.ts'
import { PagemeshError } from '../../../src/runtime/errors.ts'
import type { LogFields } from '../../../src/runtime/log.ts'
import { deferred } from '../../../src/runtime/wait.ts'
import { Ends, STREAM } from '../../support/bothends.ts'
import { page } from '../../support/madepages.ts'
import { madeScopes } from '../../support/madescopes.ts'
import { until } from '../../support/passagerelay.ts'
import { postcopyStream } from '../../support/streambuilder.ts'

const CANCEL: Reason = { code: 'cancelled', fault: 'cancelled', message: 'The handoff was cancelled.' }
const ABOUT = { guest: 'web', from: 'a' }
const BLOCKS = [{ name: 'pc.ram', pages: [undefined, undefined] }]

/** What was logged with this message, in order. */
function logged(ends: Ends, message: string): (LogFields | undefined)[] {
  return ends.logged.filter((line) => line.message === message).map(({ fields }) => fields)
}

async function complete(ends: Ends): Promise<void> {
  const { result } = await ends.load()
  ends.source.become('completed')
  await result
  await ends.wait(2000)
}

describe('the log of a destination\'s host', () => {
  it('tells that a guest arrived', async () => {
    const ends = new Ends()
    await complete(ends)
    assert.deepEqual(logged(ends, 'guest arrived'), [{ ...ABOUT, state: 'running' }])
    assert.deepEqual(ends.logged.map(({ message }) => message), ['guest arrived'])
  })

  it('tells why none did', async () => {
    const ends = await new Ends().start()
    ends.destination.refuses['check'] = new PagemeshError('machines-differ', 'They differ.', {
      fault: 'usage', advice: 'Start another.',
    })
    await ends.outgoing.run()
    await ends.wait()
    assert.deepEqual(ends.logged, [{
      message: 'incoming handoff ended', fields: { ...ABOUT, as: 'failed', reason: 'They differ. Start another.' },
    }])
  })

  it('tells once that a copy is held, and that it is held again', async () => {
    const ends = new Ends()
    await ends.load()
    ends.source.ignoresCancel = true
    ends.network.disconnect('b')
    await ends.cut()
    await ends.wait(10_000)
    const held = (): (LogFields | undefined)[] => logged(ends, 'a guest is held')
    assert.equal(held().length, 1)
    assert.match(String(held()[0]!['why']), /was lost/)
    ends.destination.refuses['release'] = new Error('It is locked.')
    await assert.rejects(ends.incoming.settle('run'))
    assert.equal(held().length, 2)
    assert.match(String(held()[1]!['why']), /locked/)
  })

  it('says nothing of a dry run', async () => {
    const ends = await new Ends({ plan: 'dryRun' }).start()
    await ends.outgoing.estimate()
    await ends.wait()
    assert.deepEqual(ends.delivered.map(({ as }) => as), ['estimated'])
    assert.deepEqual(ends.logged, [])
  })

  it('does not complain of what was said before a decision was heard', async () => {
    const ends = new Ends()
    const { result } = await ends.move()
    // The connection closes first: the source's host has decided when it hears why.
    ends.destination.qemu!.endpoint.destroy()
    ends.source.qemu!.write(STREAM)
    const said = await result
    ends.destination.become('failed', 'no memory')
    await ends.wait(2000)
    assert.equal(said.status, 'failed')
    assert.deepEqual(logged(ends, 'the other agent broke the protocol'), [])
  })
})

describe('a handoff', () => {
  it('takes as long as its host is busy with it', async () => {
    const ends = new Ends()
    const run = ends.incoming.run.bind(ends.incoming)
    let hasRested = false
    ends.incoming.run = async (...offer) => {
      await run(...offer)
      hasRested = true
    }
    const { result } = await ends.load()
    assert.ok(!hasRested)
    ends.source.become('completed')
    await result
    await ends.wait()
    assert.ok(hasRested)
  })

  it('has the record of QEMU\'s settings made anew once they are put back, and not before', async () => {
    const ends = new Ends()
    const closing = { source: deferred<void>(), destination: deferred<void>() }
    ends.source.waits['close'] = closing.source.promise
    ends.destination.waits['close'] = closing.destination.promise
    const { result } = await ends.load()
    ends.source.become('completed')
    await ends.wait(100)
    assert.deepEqual([ends.closed, ends.delivered], [{ a: 0, b: 0 }, []])
    closing.destination.resolve()
    await ends.wait()
    assert.deepEqual([ends.closed, ends.delivered.length], [{ a: 0, b: 1 }, 1])
    closing.source.resolve()
    await result
    assert.deepEqual(ends.closed, { a: 1, b: 1 })
  })

  it('leaves nothing that is still to happen', async () => {
    const ends = new Ends({ outgoing: { timeoutMs: 60_000 } })
    await complete(ends)
    assert.deepEqual([ends.outgoing.state.at, ends.incoming.state.at], ['over', 'over'])
    assert.equal(ends.clock.pendingCount, 0)
  })

  it('that is undecided leaves no timer once its agents have stopped', async () => {
    const ends = new Ends({ outgoing: { timeoutMs: 60_000 } })
    await ends.load()
    ends.source.ignoresCancel = true
    await ends.cut()
    assert.deepEqual([ends.outgoing.state.at, ends.incoming.state.at], ['stopping', 'holding'])
    assert.ok(ends.clock.pendingCount > 0)
    await ends.outgoing.stop()
    await ends.incoming.stop(CANCEL, Promise.resolve())
    await ends.wait()
    assert.equal(ends.clock.pendingCount, 0)
  })

  it('tells where it stands at the destination', async () => {
    const ends = new Ends()
    assert.deepEqual(ends.incoming.status, { ...ABOUT, phase: 'idle', streamBytes: 0 })
    await ends.move()
    await ends.send()
    assert.deepEqual(ends.incoming.status, { ...ABOUT, phase: 'loading', streamBytes: STREAM.length })
  })

  it('counts at both ends the same bytes on the wire', async () => {
    const ends = new Ends()
    assert.deepEqual(ends.incoming.traffic, { sentBytes: 0, receivedBytes: 0 })
    const { result } = await ends.move()
    await ends.send()
    await ends.wait(250)
    const { sentBytes, receivedBytes } = ends.incoming.traffic
    assert.equal(receivedBytes, ends.measures.at(-1)!.wireBytes)
    ends.outgoing.cancel(CANCEL)
    const said = await result
    // The offer and its answer go over a stream; what was said since then is the end.
    assert.ok(said.receivedWireBytes >= sentBytes + '{"accepted":true}'.length)
    assert.equal(ends.incoming.savedBytes, 0)
  })

  it('that never reached the other host has put nothing on the wire', async () => {
    const ends = await new Ends().start()
    ends.source.refuses['prepare'] = new Error('no')
    const { wireBytes, receivedWireBytes } = await ends.outgoing.run()
    assert.deepEqual([wireBytes, receivedWireBytes], [0, 0])
  })

  it('counts its offer and the answer to it, whatever they come to', async () => {
    const ends = await new Ends().start()
    ends.source.waits['migrate'] = deferred<void>().promise
    const result = ends.outgoing.run()
    await until(() => ends.incoming.state.at === 'waiting')
    await ends.wait()
    const { sentBytes, receivedBytes } = ends.incoming.traffic
    ends.source.ignoresCancel = true
    ends.outgoing.cancel(CANCEL)
    ends.source.become('cancelled')
    const { wireBytes, receivedWireBytes } = await result
    const { tenant, epoch } = madeScopes().oldest
    const answer = JSON.stringify({ accepted: true, pages: { tenant, epoch } })
    assert.equal(receivedWireBytes, sentBytes + answer.length)
    assert.ok(wireBytes > receivedBytes + 200, `${wireBytes} ${receivedBytes}`)
  })

  it('tells no progress while no stream runs', async () => {
    const ends = await new Ends().start()
    const begun = deferred<void>()
    ends.source.waits['migrate'] = begun.promise
    void ends.outgoing.run()
    await ends.wait(1000)
    assert.ok(!ends.source.told.includes('progress'))
    begun.resolve()
    await ends.wait(1000)
    assert.ok(ends.measures.length > 0)
  })

  it('tells progress until a post-copy that was handed over is not waited for any more', async () => {
    const ends = new Ends({ mode: 'postcopy' })
    await ends.serve(postcopyStream(BLOCKS, BLOCKS).bytes)
    await ends.wait(500)
    const { length } = ends.measures
    assert.ok(length > 0)
    await ends.cut()
    await ends.wait(1000)
    assert.equal(ends.measures.length, length)
  })

  it('says to the destination what it is for', async () => {
    const dry = await new Ends({ plan: 'dryRun' }).start()
    await dry.outgoing.estimate()
    const ends = new Ends({ mode: 'postcopy' })
    await ends.serve(postcopyStream(BLOCKS, BLOCKS).bytes)
    await ends.cut()
    void ends.outgoing.run()
    await until(() => ends.offers.length === 2)
    const offered = [...dry.offers, ...ends.offers].map(({ plan, mode, guest }) => [plan, mode, guest])
    assert.deepEqual(offered, [
      ['dryRun', 'precopy', 'web'], ['move', 'postcopy', 'web'], ['rejoin', 'postcopy', 'web'],
    ])
  })

  it('looks what its guest does at the end only where the source keeps it', async () => {
    const completed = new Ends()
    await complete(completed)
    assert.equal(completed.source.restLooks, 0)
    const kept = new Ends()
    const { result } = await kept.move()
    kept.outgoing.cancel(CANCEL)
    await result
    assert.equal(kept.source.restLooks, 1)
  })

  it('keeps to the rate that it may take, in what the agents say and in what QEMU writes', async () => {
    const ends = await new Ends({ outgoing: { bytesPerSecondMax: 800 } }).start()
    const result = ends.outgoing.run()
    await ends.wait()
    assert.equal(ends.outgoing.state.at, 'listing')
    await ends.wait(1000)
    assert.equal(ends.outgoing.state.at, 'moving')
    // In pieces, each of which waits until the one before is paid.
    for (const number of [1, 2]) {
      ends.source.qemu!.write(page(number).subarray(0, 3000))
      await ends.wait(100)
    }
    assert.equal(ends.destination.qemu!.received.length, 0)
    await ends.wait(4000)
    assert.equal(ends.destination.qemu!.received.length, 3000)
    await ends.wait(4000)
    assert.equal(ends.destination.qemu!.received.length, 6000)
    ends.outgoing.cancel(CANCEL)
    await ends.wait(10_000)
    assert.equal((await result).status, 'cancelled')
  })
})
