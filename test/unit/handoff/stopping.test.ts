import assert from 'node:assert/strict'

import type { Reason, Verdict } from '../../../src/conversation/conversation.ts'
import { deferred } from '../../../src/runtime/wait.ts'
import { Ends } from '../../support/bothends.ts'
import { until } from '../../support/passagerelay.ts'

const CANCEL: Reason = { code: 'cancelled', fault: 'cancelled', message: 'The handoff was cancelled.' }

describe('a handoff whose agent stops', () => {
  it('breaks off what is on its way in, and closes what goes out', async () => {
    const ends = new Ends()
    const { result } = await ends.move()
    const stopping = ends.incoming.stop({ ...CANCEL, message: 'The agent was stopped.' }, ends.clock.sleep(8000))
    await until(() => ends.incoming.state.at === 'breaking')
    ends.destination.become('failed')
    await stopping
    const said = await result
    assert.match(said.reason!, /^b: The agent was stopped\. .*runs on at the source/)
    assert.ok(ends.destination.told.includes('stop') && ends.destination.told.includes('close'))
    await ends.outgoing.stop()
    assert.equal(ends.source.told.at(-1), 'close')
    const asked = ends.written.b.length
    await ends.wait(10_000)
    assert.equal(ends.written.b.length, asked)
  })

  it('stops though a copy is not decided, once patience is at its end', async () => {
    const ends = new Ends()
    ends.source.ignoresCancel = true
    await ends.move()
    const stopping = ends.incoming.stop(CANCEL, ends.clock.sleep(8000))
    await ends.wait(7000)
    assert.ok(!ends.destination.told.includes('stop'))
    await ends.wait(1000)
    await stopping
    assert.ok(ends.destination.told.includes('stop'))
  })
  for (const end of ['outgoing', 'incoming'] as const) {
    it(`has let its QEMU go when it has stopped: the ${end} end`, async () => {
      const ends = new Ends()
      await ends.move()
      const driver = end === 'outgoing' ? ends.source : ends.destination
      const closing = deferred<void>()
      driver.waits['close'] = closing.promise
      let hasStopped = false
      const stopping = (end === 'outgoing' ? ends.outgoing.stop() : ends.incoming.stop(CANCEL, Promise.resolve()))
        .then(() => { hasStopped = true })
      await ends.wait()
      assert.deepEqual([driver.told.slice(-2), hasStopped], [['stop', 'close'], false])
      closing.resolve()
      await stopping
    })
  }

  it('looks at the source QEMU no more, and does not ask it again to give up', async () => {
    const ends = new Ends()
    await ends.move()
    ends.source.ignoresCancel = true
    ends.outgoing.cancel(CANCEL)
    await ends.wait()
    assert.equal(ends.source.told.filter((told) => told === 'cancel').length, 1)
    await ends.outgoing.stop()
    const { length } = ends.source.told
    await ends.wait(10_000)
    assert.deepEqual(ends.source.told.slice(length), [])
    assert.deepEqual(ends.measures, [])
  })

  it('ends by its time no more', async () => {
    const ends = new Ends({ outgoing: { timeoutMs: 3000 } })
    await ends.move()
    await ends.outgoing.stop()
    await ends.wait(4000)
    assert.ok(!ends.source.told.includes('cancel'))
  })

  it('asks the source\'s host no more, and waits for no answer', async () => {
    const ends = new Ends()
    await ends.load()
    let questions = 0
    ends.outgoing.asked = async () => {
      questions += 1
      return await new Promise<Verdict>(() => {})
    }
    ends.source.ignoresCancel = true
    await ends.cut()
    assert.deepEqual([ends.incoming.state.at, questions], ['holding', 1])
    const unanswered = (): boolean =>
      ends.logged.some(({ message }) => message === 'the source\'s host did not answer what became of a guest')
    assert.ok(!unanswered())
    await ends.incoming.stop({ ...CANCEL, message: 'The agent was stopped.' }, Promise.resolve())
    await ends.wait()
    assert.ok(unanswered())
    await ends.wait(10_000)
    assert.equal(questions, 1)
  })
})

describe('a handoff that is given up', () => {
  it('closes the source QEMU\'s connection, whatever the other end does', async () => {
    // What the destination's host promises is never on its disk, and so it closes nothing.
    const ends = new Ends({ incoming: {
      record: async (as) => { await (as === 'broken' ? deferred<void>().promise : undefined) },
    } })
    const { result } = await ends.move()
    ends.destination.become('failed', 'no memory')
    assert.equal((await result).code, 'failed-at-destination')
    await ends.wait()
    assert.ok(ends.source.qemu!.hasHeardEnd)
  })

  it('closes the destination QEMU\'s connection, whatever the other end does', async () => {
    const ends = new Ends()
    await ends.move()
    ends.source.ignoresCancel = true
    ends.destination.become('failed', 'no memory')
    await ends.wait()
    assert.deepEqual([ends.outgoing.state.at, ends.incoming.state.at], ['stopping', 'telling'])
    assert.ok(ends.destination.qemu!.hasHeardEnd)
  })

  it('closes the source QEMU\'s connection though the destination has not dialled its lane', async () => {
    const beginning = deferred<void>()
    const ends = new Ends({ incoming: {
      record: async (as) => { await (as === 'loading' ? beginning.promise : undefined) },
    } })
    await ends.start()
    const result = ends.outgoing.run()
    await until(() => ends.incoming.state.at === 'loading')
    await ends.wait()
    assert.ok(ends.source.qemu !== undefined && ends.destination.qemu === undefined)
    ends.outgoing.cancel(CANCEL)
    assert.equal((await result).status, 'cancelled')
    await until(() => ends.source.qemu!.hasHeardEnd)
    beginning.resolve()
    await ends.wait()
    assert.equal(ends.destination.qemu, undefined, 'the lane is offered no more')
  })

  it('takes back its offer: who accepts it later finds nobody', async () => {
    const ends = await new Ends().start()
    const checked = deferred<void>()
    ends.destination.waits['check'] = checked.promise
    const result = ends.outgoing.run()
    await until(() => ends.destination.told.includes('check'))
    ends.outgoing.cancel(CANCEL)
    await result
    checked.resolve()
    await ends.wait()
    assert.deepEqual([ends.incoming.state.at, ends.delivered.map(({ as }) => as)], ['over', ['failed']])
  })

  it('closes the lane of a stream whose destination QEMU does not listen', async () => {
    const ends = await new Ends().start()
    ends.source.ignoresCancel = true
    ends.destination.refuses['migrate'] = new Error('no socket')
    void ends.outgoing.run()
    await until(() => ends.source.told.includes('cancel'))
    await ends.wait()
    assert.equal(ends.outgoing.state.at, 'stopping')
    assert.ok(ends.source.qemu!.hasHeardEnd)
  })

  it('no longer waits for the destination QEMU to listen', async () => {
    const ends = await new Ends().start()
    ends.destination.waits['migrate'] = deferred<void>().promise
    void ends.outgoing.run()
    await until(() => ends.destination.told.includes('migrate'))
    const { signal } = ends.destination
    assert.ok(!signal!.aborted)
    void ends.incoming.stop(CANCEL, ends.clock.sleep(8000))
    await ends.wait()
    assert.ok(signal!.aborted)
  })
})
