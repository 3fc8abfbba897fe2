import assert from 'node:assert/strict'

import type { Reason } from '../../../src/conversation/conversation.ts'
import { PagemeshError } from '../../../src/runtime/errors.ts'
import { deferred } from '../../../src/runtime/wait.ts'
import { Ends } from '../../support/bothends.ts'
import { until } from '../../support/passagerelay.ts'

const CANCEL: Reason = { code: 'cancelled', fault: 'cancelled', message: 'The handoff was cancelled.' }

/** Nothing of the handoff is left at either host. */
function assertNothingLeft(ends: Ends): void {
  assert.deepEqual(ends.standing, { a: 0, b: 0 })
  assert.ok(ends.source.told.includes('close'))
  assert.ok(!ends.destination.told.some((told) => told.startsWith('release') || told === 'end'))
}

describe('a handoff that fails before anything begins', () => {
  it('leaves the guest alone when its QEMU cannot be prepared', async () => {
    const ends = await new Ends().start()
    ends.source.refuses['prepare'] = new PagemeshError('guest-not-movable', 'It has a blocker.', {
      fault: 'guest', advice: 'Remove it.',
    })
    const said = await ends.outgoing.run()
    await ends.wait()
    assert.deepEqual([said.status, said.code, said.channels], ['failed', 'guest-not-movable', 0])
    assert.equal(said.reason, 'It has a blocker. Remove it. The guest runs on at the source, a.')
    assert.deepEqual([ends.destination.told, ends.written.a], [[], ['forget']])
    assertNothingLeft(ends)
  })

  it('says what the destination refuses it for, however long, and leaves the QEMU there waiting', async () => {
    const ends = await new Ends().start()
    const advice = 'b'.repeat(2000)
    ends.destination.refuses['check'] = new PagemeshError(
      'machines-differ', 'a'.repeat(9000), { fault: 'usage', advice },
    )
    const said = await ends.outgoing.run()
    await ends.wait()
    assert.equal(said.code, 'machines-differ')
    assert.ok(said.reason!.startsWith(`b refused the guest: ${'a'.repeat(4000)} ${'b'.repeat(1000)} The guest`))
    assert.deepEqual(ends.delivered.map(({ as }) => as), ['failed'])
    assert.ok(ends.destination.told.includes('close') && !ends.destination.told.includes('prepare'))
    assertNothingLeft(ends)
  })

  it('does not begin to wait for a host that cannot be reached', async () => {
    const ends = await new Ends().start()
    ends.network.disconnect('b')
    const said = await ends.outgoing.run()
    assert.equal(said.code, 'host-unknown')
    assertNothingLeft(ends)
  })

  it('waits for no answer for ever', async () => {
    const ends = await new Ends().start()
    ends.destination.waits['check'] = deferred<void>().promise
    const result = ends.outgoing.run()
    await ends.wait(19_999)
    assert.equal(ends.outgoing.state.at, 'offering')
    await ends.wait(1)
    const said = await result
    assert.deepEqual([said.code, ends.outgoing.state.at], ['timeout', 'over'])
    assertNothingLeft(Object.assign(ends, { standing: { ...ends.standing, b: 0 } }))
  })

  it('leaves the guest as it is when its QEMU refuses to migrate', async () => {
    const ends = await new Ends().start()
    ends.source.refuses['migrate'] = new PagemeshError('qmp-error', 'No.', { fault: 'guest' })
    const said = await ends.outgoing.run()
    await ends.wait()
    assert.equal(said.reason, 'No. The guest runs on at the source, a.')
    assert.ok(!ends.source.told.includes('cancel'))
    assert.ok(!ends.destination.told.includes('migrate'))
    assertNothingLeft(ends)
  })

  it('asks a QEMU that was told to migrate, and does not begin, to give up', async () => {
    const ends = await new Ends().start()
    ends.source.waits['migrate'] = deferred<void>().promise
    const result = ends.outgoing.run()
    await ends.wait()
    await ends.wait(15_000)
    const said = await result
    assert.deepEqual([said.status, said.code], ['failed', 'timeout'])
    assert.ok(ends.source.told.includes('cancel'))
    assertNothingLeft(ends)
  })

  for (const where of ['prepare', 'migrate'] as const) {
    it(`is cancelled at ${where}, and the guest stays`, async () => {
      const ends = await new Ends().start()
      ends.source.waits[where] = deferred<void>().promise
      const result = ends.outgoing.run()
      await ends.wait()
      ends.outgoing.cancel(CANCEL)
      const said = await result
      await ends.wait()
      assert.deepEqual([said.status, said.code], ['cancelled', 'cancelled'])
      assert.equal(said.reason, 'The handoff was cancelled. The guest runs on at the source, a.')
      assert.equal(ends.source.told.includes('cancel'), where === 'migrate')
      assertNothingLeft(ends)
    })
  }

  for (const end of ['a', 'b'] as const) {
    it(`ends at both when ${end} loses the connection`, async () => {
      const ends = await new Ends().start()
      ends.source.waits['migrate'] = deferred<void>().promise
      const result = ends.outgoing.run()
      await ends.wait()
      assert.equal(ends.incoming.state.at, 'waiting')
      if (end === 'a') await ends.incoming.stop(CANCEL, Promise.resolve())
      else await ends.cut()
      const said = await result
      await ends.wait(1000)
      assert.deepEqual([said.status, ends.incoming.state.at], ['failed', 'over'])
      assertNothingLeft(ends)
    })
  }
})

describe('a handoff that fails while the stream runs', () => {
  it('is cancelled: QEMU decides, and the destination\'s copy is no more', async () => {
    const ends = new Ends()
    const { result } = await ends.move()
    ends.outgoing.cancel(CANCEL)
    const said = await result
    assert.deepEqual([said.status, said.arrivedState], ['cancelled', null])
    await until(() => ends.incoming.state.at === 'breaking')
    ends.destination.become('failed', 'broken pipe')
    await until(() => ends.incoming.state.at === 'telling')
    await ends.wait(2000)
    assert.equal(ends.incoming.state.at, 'over')
    assert.deepEqual(ends.written.a, ['moving unknown', 'kept unknown'])
    assert.deepEqual(ends.written.b, ['loading unknown', 'broken unknown', 'forget'])
    assert.deepEqual(ends.delivered.map(({ as }) => as), ['failed'])
    assert.equal(ends.incoming.savedBytes, 0)
    assertNothingLeft(ends)
  })

  it('is given up when the destination QEMU does not listen: not a byte has reached it', async () => {
    const ends = await new Ends().start()
    ends.destination.refuses['migrate'] = new PagemeshError('qmp-error', 'No socket.', { fault: 'guest' })
    const said = await ends.outgoing.run()
    await ends.wait(2000)
    assert.deepEqual([said.status, said.code], ['failed', 'failed-at-destination'])
    assert.match(said.reason!, /^b: No socket\..*runs on at the source/)
    assert.ok(ends.source.told.includes('cancel'))
    assert.deepEqual([ends.incoming.state.at, ends.written.b], [
      'over', ['loading unknown', 'broken unknown', 'forget'],
    ])
    assertNothingLeft(ends)
  })

  it('writes down that it begins, and that a copy is broken, before anything comes of it', async () => {
    const beginning = deferred<void>()
    const breaking = deferred<void>()
    const ends = new Ends({ incoming: {
      record: async (as) => {
        await (as === 'loading' ? beginning.promise : as === 'broken' ? breaking.promise : undefined)
        ends.written.b.push(as)
      },
    } })
    await ends.start()
    const result = ends.outgoing.run()
    await ends.wait()
    assert.deepEqual([ends.incoming.state.at, ends.destination.told.includes('migrate')], ['loading', false])
    beginning.resolve()
    await until(() => ends.destination.told.includes('migrate'))
    ends.source.ignoresCancel = true
    ends.destination.become('failed', 'no memory')
    await ends.wait()
    // The source's host knows that there is trouble; that the copy is broken is a promise.
    assert.deepEqual([ends.outgoing.state.at, 'copy' in ends.outgoing.state && ends.outgoing.state.copy], [
      'stopping', 'unknown',
    ])
    breaking.resolve()
    await ends.wait()
    assert.equal('copy' in ends.outgoing.state && ends.outgoing.state.copy, 'broken')
    ends.source.become('cancelled')
    assert.match((await result).reason!, /no memory/)
  })

  it('is cancelled too late: the guest is the destination\'s, and runs there', async () => {
    const ends = new Ends()
    const { result } = await ends.load()
    ends.source.ignoresCancel = true
    ends.outgoing.cancel(CANCEL)
    await ends.wait()
    assert.ok(ends.source.told.includes('cancel'))
    ends.source.become('completed')
    const said = await result
    assert.deepEqual([said.status, said.arrivedState], ['completed', 'running'])
  })

  it('ends the whole copy of a guest that was kept', async () => {
    const ends = new Ends()
    const { result } = await ends.load()
    ends.outgoing.cancel(CANCEL)
    assert.equal((await result).status, 'cancelled')
    await until(() => ends.destination.told.includes('end'))
    await ends.wait()
    assert.deepEqual(ends.delivered.map(({ as }) => as), ['ended'])
    assert.ok(!ends.destination.told.some((told) => told.startsWith('release')))
    assert.equal(ends.written.b.at(-1), 'forget')
  })

  it('tries again to end a copy whose QEMU refused', async () => {
    const ends = new Ends()
    const { result } = await ends.load()
    ends.destination.refuses['end'] = new PagemeshError('guest-runs', 'It runs.', { fault: 'guest' })
    ends.outgoing.cancel(CANCEL)
    await result
    await until(() => ends.destination.told.includes('end'))
    await ends.wait()
    assert.deepEqual(ends.delivered.map(({ as }) => as), ['held'])
    delete ends.destination.refuses['end']
    await ends.wait(2000)
    assert.deepEqual(
      [ends.destination.told.filter((told) => told === 'end').length, ends.incoming.state.at], [2, 'over'],
    )
  })

  it('asks again a QEMU that answers no cancel, then rests without knowing, and says what it hears later', async () => {
    const ends = new Ends()
    const { result } = await ends.move()
    ends.source.ignoresCancel = true
    ends.outgoing.cancel(CANCEL)
    await ends.wait(5000)
    assert.equal(ends.source.told.filter((told) => told === 'cancel').length, 2)
    await ends.wait(30_000)
    const said = await result
    assert.deepEqual([said.status, said.code], ['failed', 'cancelled'])
    assert.match(said.reason!, /What became of web is not known/)
    assert.deepEqual(ends.standing.a, 0)
    assert.equal(ends.amended.length, 0)
    ends.source.become('cancelled')
    await ends.wait()
    assert.deepEqual(ends.amended.map(({ status }) => status), ['cancelled'])
    assert.deepEqual(ends.standing.a, 0)
  })

  it('ends when it takes longer than it may, and not before', async () => {
    const ends = new Ends({ outgoing: { timeoutMs: 3000 } })
    const { result } = await ends.move()
    await ends.wait(2999 - ends.clock.now())
    assert.equal(ends.outgoing.state.at, 'moving')
    await ends.wait(1)
    const said = await result
    assert.deepEqual([said.status, said.code], ['failed', 'timeout'])
    assert.match(said.reason!, /longer than 3 s.*--mode postcopy.*runs on at the source/)
  })

  it('does not end for its time once it is over', async () => {
    const ends = new Ends({ outgoing: { timeoutMs: 3000 } })
    const { result } = await ends.load()
    ends.source.become('completed')
    assert.equal((await result).status, 'completed')
    await ends.wait(4000)
    assert.ok(!ends.source.told.includes('cancel'))
  })

  it('says that the destination QEMU died, and not only that a connection was lost', async () => {
    const ends = new Ends()
    const { result } = await ends.move()
    ends.source.ignoresCancel = true
    ends.destination.die()
    await until(() => ends.source.told.includes('cancel'))
    await ends.wait()
    ends.source.become('failed', 'reset')
    const said = await result
    assert.equal(said.code, 'failed-at-destination')
    assert.match(said.reason!, /^b: The destination QEMU of web ended\. .*runs on at the source, a\.$/)
    assert.equal(ends.written.b.at(-1), 'broken unknown')
  })

  it('says what QEMU said when it fails by itself', async () => {
    const ends = new Ends()
    const { result } = await ends.move()
    ends.source.guest = 'paused'
    ends.source.become('failed', 'Unable to write')
    const said = await result
    assert.equal(said.code, 'qemu-failed')
    assert.match(
      said.reason!, /migration failed: Unable to write\..*The guest stays at the source, a; its state is paused\.$/,
    )
  })

  it('does not say that a guest runs on whose QEMU does not answer', async () => {
    const ends = new Ends()
    const { result } = await ends.move()
    ends.source.stateAtRest = async () => { throw new Error('no answer') }
    ends.source.become('failed')
    assert.match((await result).reason!, /a keeps the guest, but its QEMU does not answer now or has ended\.$/)
  })

  it('keeps the guest when the connections are lost', async () => {
    const ends = new Ends()
    const { result } = await ends.move()
    await ends.cut()
    const said = await result
    assert.deepEqual([said.status, said.code], ['failed', 'lane-lost'])
    assert.equal(ends.incoming.state.at, 'breaking')
    ends.destination.become('failed')
    await ends.wait(2000)
    assert.deepEqual(ends.delivered.map(({ as }) => as), ['failed'])
    assert.equal(ends.incoming.state.at, 'over')
    assert.deepEqual(ends.standing, { a: 0, b: 0 })
  })

  it('goes on watching a QEMU that says nothing of a guest that is not decided about', async () => {
    const ends = new Ends()
    ends.source.ignoresCancel = true
    await ends.move()
    await ends.cut()
    await ends.wait(29_999)
    assert.deepEqual(ends.delivered, [])
    await ends.wait(1)
    assert.deepEqual(ends.delivered.map(({ as }) => as), ['unanswered'])
    assert.deepEqual([ends.questions.length, ends.standing.b], [16, 0])
    assert.equal(ends.incoming.held!.why.code, 'lane-lost')
    ends.destination.become('failed')
    await ends.wait(2000)
    assert.deepEqual(ends.delivered.map(({ as }) => as), ['unanswered', 'failed'])
    assert.deepEqual([ends.incoming.state.at, ends.incoming.held], ['telling', undefined])
  })

  it('ends a copy whose QEMU says nothing, once the source has kept the guest', async () => {
    const ends = new Ends()
    const { result } = await ends.move()
    ends.source.become('failed')
    await result
    await ends.wait(2999)
    assert.ok(!ends.destination.told.includes('end'))
    await ends.wait(1)
    assert.ok(ends.destination.told.includes('end'))
    assert.deepEqual(ends.delivered.map(({ as }) => as), ['ended'])
    assert.equal(ends.incoming.held, undefined)
  })

  it('asks whether the source has kept the guest where it did not hear it, and shows what it cannot end', async () => {
    const ends = new Ends()
    const { result } = await ends.move()
    ends.destination.refuses['end'] = new PagemeshError('guest-silent', 'Process 7 does not answer.', {
      fault: 'guest', advice: 'Kill it.',
    })
    await ends.cut()
    await result
    await ends.wait(2000)
    assert.deepEqual(ends.questions.at(-1), { kind: 'unsaid' })
    assert.ok(!ends.destination.told.includes('end'))
    await ends.wait(3000)
    assert.ok(ends.destination.told.includes('end'))
    await ends.wait(2500)
    const { why, sinceMs } = ends.incoming.held!
    assert.deepEqual([why.message, why.advice], ['Process 7 does not answer.', 'Kill it.'])
    assert.ok(sinceMs >= 2500, `${sinceMs} ms`)
    await assert.rejects(ends.incoming.settle('end'), { code: 'guest-silent', message: 'Process 7 does not answer.' })
    ends.destination.die()
    await ends.wait()
    assert.deepEqual(ends.delivered.map(({ as }) => as), ['unanswered', 'ended'])
    assert.equal(ends.incoming.held, undefined)
  })

  it('leaves open what became of a guest whose QEMU died unheard: it may have gone on', async () => {
    const ends = new Ends()
    const { result } = await ends.load()
    ends.source.die(false)
    await ends.wait(60_000)
    const said = await result
    assert.deepEqual([said.status, said.code], ['failed', 'guest-gone'])
    assert.match(said.reason!, /^The source QEMU of web ended\. .*is not known/)
    assert.ok(!ends.destination.told.some((told) => told.startsWith('release')))
    assert.equal(ends.incoming.held!.why.code, 'lane-lost')
  })

  it('lets the whole copy run of a guest whose QEMU died, and was heard to the end', async () => {
    const ends = new Ends()
    const { result } = await ends.load()
    ends.source.die(true)
    const said = await result
    assert.deepEqual([said.status, said.arrivedState], ['completed', 'running'])
  })

  it('is lost when the source QEMU died and the copy is not whole', async () => {
    const ends = new Ends()
    const { result } = await ends.move()
    ends.source.die(true)
    await ends.wait()
    assert.equal(ends.outgoing.state.at, 'orphaned')
    ends.destination.become('failed')
    await ends.wait(2000)
    const said = await result
    assert.match(said.reason!, /No whole copy of the guest is left\.$/)
    assert.equal(ends.written.a.at(-1), 'forget')
  })
})
