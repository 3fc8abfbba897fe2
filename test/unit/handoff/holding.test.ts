import assert from 'node:assert/strict'

import type { RunState, Verdict } from '../../../src/conversation/conversation.ts'
import type { IncomingRecordedAs } from '../../../src/conversation/incomingstate.ts'
import type { OutgoingRecordedAs } from '../../../src/conversation/outgoingstate.ts'
import { decodeVerdict, encodeQuestion, OUTCOME_PROTOCOL } from '../../../src/handoff/messages.ts'
import { PagemeshError } from '../../../src/runtime/errors.ts'
import { deferred } from '../../../src/runtime/wait.ts'
import type { HandoffResult } from '../../../src/transfer/index.ts'
import { Ends, ID, SPENT } from '../../support/bothends.ts'
import { until } from '../../support/passagerelay.ts'

/** Both hosts, and a whole copy at the destination that nobody has decided about: the hosts cannot reach each other. */
async function holding(): Promise<Ends> {
  const ends = new Ends()
  await ends.load()
  ends.source.ignoresCancel = true
  ends.network.disconnect('b')
  await ends.cut()
  assert.equal(ends.incoming.state.at, 'holding')
  return ends
}

/** Both hosts after a restart of their agents: nothing runs, and no connection is open. */
async function restarted(): Promise<Ends> {
  return await new Ends().start()
}

async function ask(ends: Ends, copy: Parameters<typeof encodeQuestion>[0]['copy']): Promise<Verdict> {
  const { signal } = new AbortController()
  const stream = await ends.meshes.b.open('a', OUTCOME_PROTOCOL, signal)
  await stream.send(encodeQuestion({ id: ID, copy }), signal)
  return decodeVerdict(await stream.receive(signal))
}

describe('a whole copy without a connection', () => {
  it('is held, and asks every two seconds, until the source\'s host says that it gave the guest up', async () => {
    const ends = await holding()
    assert.deepEqual(ends.delivered.map(({ as }) => as), ['held'])
    assert.equal(ends.written.b.at(-1), 'loaded running')
    assert.deepEqual([ends.standing.b, ends.destination.told.at(-1)], [0, 'close'])
    await ends.wait(7000)
    assert.equal(ends.incoming.held!.sinceMs, 7000)
    assert.equal(ends.incoming.held!.why.code, 'lane-lost')
    ends.network.reconnect('b')
    await ends.wait(2000)
    // It asks, and it is not decided yet.
    assert.equal(ends.incoming.state.at, 'holding')
    assert.ok(!ends.destination.told.some((told) => told.startsWith('release')))
    ends.source.become('completed')
    await ends.wait(2000)
    assert.ok(ends.destination.told.includes('release running'))
    await ends.wait(2000)
    assert.deepEqual(ends.delivered.map(({ as }) => as), ['held', 'arrived'])
    assert.equal(ends.incoming.held, undefined)
    assert.deepEqual([ends.incoming.state.at, ends.outgoing.state.at], ['over', 'over'])
    assert.deepEqual([ends.written.a.at(-1), ends.written.b.at(-1)], ['forget', 'forget'])
  })

  it('is ended once the source\'s host says that it keeps the guest', async () => {
    const ends = await holding()
    ends.source.become('cancelled')
    ends.network.reconnect('b')
    await ends.wait(4000)
    assert.ok(ends.destination.told.includes('end'))
    assert.deepEqual(ends.delivered.map(({ as }) => as), ['held', 'ended'])
  })

  it('was given up, and its host did not hear of it: the result says so, and is amended when it did', async () => {
    const ends = new Ends()
    const { result } = await ends.load()
    ends.network.disconnect('b')
    ends.source.become('completed')
    await ends.cut()
    await ends.wait(30_000)
    const said = await result
    assert.deepEqual([said.status, said.code, said.downtimeMs], ['failed', 'unconfirmed', null])
    assert.match(said.reason!, /^The source gave web up, but b has not confirmed .*`pagemesh status` on b\.$/)
    assert.ok(ends.source.told.includes('close'))
    const released = deferred<void>()
    ends.destination.waits['release'] = released.promise
    ends.network.reconnect('b')
    await until(() => ends.destination.told.includes('release running'), () => ends.wait(100))
    await ends.wait(500)
    released.resolve()
    await ends.wait(100)
    assert.deepEqual(ends.amended.map(({ status, arrivedState }) => [status, arrivedState]), [['completed', 'running']])
    // It was missed until it ran, and not until its host asked what becomes of it.
    const [{ totalMs, downtimeMs }] = ends.amended as [HandoffResult]
    assert.equal(downtimeMs, totalMs + 5)
  })

  it('is let run when its operator says so; its source hears of it when it can be reached', async () => {
    const ends = await holding()
    assert.deepEqual(await ends.incoming.settle('run'), { as: 'arrived', state: 'running' })
    assert.ok(ends.destination.told.includes('release running'))
    assert.ok(ends.written.b.includes('arrived running'))
    assert.equal(ends.incoming.held, undefined)
    ends.network.reconnect('b')
    await ends.wait(4000)
    assert.deepEqual([ends.incoming.state.at, ends.outgoing.state.at], ['over', 'over'])
  })

  it('is ended when its operator says so', async () => {
    const ends = await holding()
    const { as } = await ends.incoming.settle('end')
    assert.equal(as, 'ended')
    assert.ok(ends.destination.told.includes('end') && !ends.destination.told.includes('release running'))
    assert.ok(ends.written.b.includes('broken running'))
  })

  it('stays held when its QEMU refuses to end, and whoever decided hears why', async () => {
    const ends = await holding()
    ends.destination.refuses['end'] = new PagemeshError('guest-runs', 'It runs.', { fault: 'guest' })
    await assert.rejects(ends.incoming.settle('end'), { code: 'guest-runs', message: 'It runs.' })
    delete ends.destination.refuses['end']
    await ends.wait(2000)
    assert.deepEqual(ends.delivered.map(({ as }) => as), ['held', 'held', 'ended'])
  })

  it('stays held, for a reason that is told, when its QEMU refuses to run', async () => {
    const ends = await holding()
    ends.destination.refuses['release'] = new PagemeshError(
      'guest-cannot-run', 'Its disk is locked.', { fault: 'guest' },
    )
    await assert.rejects(ends.incoming.settle('run'), { code: 'guest-cannot-run', message: 'Its disk is locked.' })
    assert.equal(ends.incoming.held!.why.message, 'Its disk is locked.')
    // It has promised now never to run, unless the operator says so again.
    assert.equal(ends.written.b.at(-1), 'unfit running')
    delete ends.destination.refuses['release']
    assert.deepEqual(await ends.incoming.settle('run'), { as: 'arrived', state: 'running' })
  })

  it('cannot be settled while the source\'s host may be taking the guest back', async () => {
    const ends = new Ends()
    const { result } = await ends.load()
    const taken = deferred<void>()
    ends.source.waits['takeBack'] = taken.promise
    ends.destination.refuses['release'] = new Error('locked')
    ends.source.become('completed')
    await until(() => ends.source.told.includes('takeBack running'))
    await ends.wait()
    assert.equal(ends.incoming.state.at, 'holding')
    await assert.rejects(ends.incoming.settle('run'), { code: 'undecided' })
    taken.resolve()
    await result
  })

  it('is broken when its QEMU ends: the source\'s host is told so', async () => {
    const ends = await holding()
    ends.destination.die()
    await ends.wait()
    assert.deepEqual([ends.incoming.state.at, ends.written.b.at(-1)], ['telling', 'broken unknown'])
    ends.network.reconnect('b')
    await ends.wait(2000)
    ends.source.become('cancelled')
    await ends.wait(2000)
    assert.equal(ends.incoming.state.at, 'over')
  })
})

describe('an agent that was restarted', () => {
  const outgoing: [OutgoingRecordedAs, string, Verdict['verdict'], string][] = [
    ['given-up', 'completed', 'given-up', 'unconfirmed'], ['moving', 'completed', 'given-up', 'unconfirmed'],
    ['moving', 'failed', 'kept', 'over'], ['moving', 'none', 'kept', 'over'], ['kept', 'none', 'kept', 'over'],
    ['moving', 'active', 'kept', 'over'], ['cut', 'postcopy-paused', 'given-up', 'cut'],
    ['taking-back', 'completed', 'pending', 'takingBack'],
  ]
  for (const [as, status, verdict, at] of outgoing) {
    it(`answers ${verdict} for a guest that was ${as} and whose QEMU says ${status}`, async () => {
      const ends = await restarted()
      ends.source.status = status
      ends.source.guest = status === 'completed' ? 'postmigrate' : 'running'
      if (as === 'taking-back') ends.source.waits['takeBack'] = deferred<void>().promise
      await ends.outgoing.restart({ as, runState: 'running' }, true)
      await ends.wait()
      assert.equal(ends.outgoing.state.at, at)
      assert.equal((await ask(ends, { kind: 'whole' })).verdict, verdict)
      assert.equal(ends.source.told.includes('cancel'), status === 'active')
    })
  }

  it('does not know of a guest whose QEMU has ended meanwhile, unless it had been given up', async () => {
    for (const [as, verdict] of [['moving', 'unknown'], ['given-up', 'given-up'], ['orphaned', 'given-up']] as const) {
      const ends = await restarted()
      await ends.outgoing.restart({ as, runState: 'paused' }, false)
      const answer = await ask(ends, { kind: 'whole' })
      assert.equal(answer.verdict, verdict, as)
      if (answer.verdict === 'given-up') assert.equal(answer.runState, 'paused')
      assert.ok(!ends.source.told.includes('look'))
    }
  })

  it('waits for a QEMU that does not answer yet', async () => {
    const ends = await restarted()
    ends.source.refuses['look'] = new PagemeshError('qmp-timeout', 'No answer.', { fault: 'guest' })
    await assert.rejects(ends.outgoing.restart({ as: 'moving', runState: 'unknown' }, true), { code: 'qmp-timeout' })
    ends.destination.refuses['look'] = new PagemeshError('qmp-timeout', 'No answer.', { fault: 'guest' })
    await assert.rejects(ends.incoming.restart({ as: 'loaded', runState: 'unknown' }, true), { code: 'qmp-timeout' })
    assert.deepEqual([ends.outgoing.state.at, ends.incoming.state.at], ['idle', 'idle'])
  })

  it('hears what its result is when the other host has told', async () => {
    const ends = await restarted()
    ends.source.status = 'completed'
    ends.source.guest = 'postmigrate'
    await ends.outgoing.restart({ as: 'given-up', runState: 'running' }, true)
    assert.equal((await ends.outgoing.rested()).code, 'unconfirmed')
    const summary = {
      streamBytes: 0, refsFilledBy: { sentBefore: 0, resident: 0, store: 0, peer: 0, source: 0 },
      peerBytes: 7, releaseMs: 0,
      spent: { report: 0, gossip: 0, swap: 0 },
    }
    assert.equal((await ask(ends, { kind: 'arrived', state: 'running', summary })).verdict, 'given-up')
    await ends.wait()
    assert.deepEqual(ends.amended.map(({ status, peerBytes }) => [status, peerBytes]), [['completed', 7]])
  })

  const incoming: [IncomingRecordedAs, RunState, string, string, string[]][] = [
    ['loaded', 'running', 'completed', 'over', ['held', 'arrived']],
    ['unfit', 'running', 'completed', 'over', ['held', 'ended']],
    ['loading', 'unknown', 'failed', 'over', ['failed']],
    ['loading', 'unknown', 'none', 'over', ['failed']],
    ['arrived', 'running', 'completed', 'over', ['arrived']],
    ['broken', 'unknown', 'failed', 'over', ['failed']],
  ]
  for (const [as, runState, status, at, delivered] of incoming) {
    it(`takes up a copy that was ${as}, whose QEMU says ${status}`, async () => {
      const ends = await restarted()
      ends.source.status = 'completed'
      ends.source.guest = 'postmigrate'
      await ends.outgoing.restart({ as: 'given-up', runState: 'running' }, true)
      ends.destination.status = status
      await ends.incoming.restart({ as, runState }, true)
      await ends.wait(4000)
      assert.deepEqual([ends.incoming.state.at, ends.delivered.map((each) => each.as)], [at, delivered])
      const isReleased = ends.destination.told.some((told) => told.startsWith('release'))
      assert.equal(isReleased, as === 'loaded')
    })
  }

  it('takes a guest that runs and whose QEMU does not answer for one that waits for its memory', async () => {
    const ends = await restarted()
    ends.destination.refuses['look'] = new PagemeshError('qmp-timeout', 'No answer.', { fault: 'guest' })
    await ends.incoming.restart({ as: 'cut', runState: 'running' }, true)
    await ends.wait(4000)
    assert.deepEqual([ends.incoming.state.at, ends.delivered.map(({ as }) => as)], ['cut', ['cut']])
    // It runs: nobody is asked what becomes of it, and there is nothing to decide.
    await assert.rejects(ends.incoming.settle('run'), { code: 'undecided' })
  })

  it('takes up a copy of a post-copy that was cut before it ran: its operator may decide', async () => {
    const ends = await restarted()
    ends.destination.status = 'postcopy-paused'
    await ends.incoming.restart({ as: 'cut', runState: 'unknown' }, true)
    assert.deepEqual(ends.delivered.map(({ as }) => as), ['cut'])
    ends.network.disconnect('b')
    const settling = ends.incoming.settle('end')
    assert.equal((await settling).as, 'ended')
    assert.ok(ends.destination.told.includes('end'))
  })

  it('lets nobody decide for a copy that is not whole and not cut', async () => {
    const ends = new Ends()
    await assert.rejects(ends.incoming.settle('run'), { code: 'undecided', message: /^a is connected/ })
    await ends.move()
    await assert.rejects(ends.incoming.settle('end'), { code: 'undecided' })
    assert.deepEqual(ends.destination.told.filter((told) => told === 'end'), [])
  })

  it('tells of a guest that had arrived what it knows: not what the agent before it had counted', async () => {
    const ends = await restarted()
    await ends.incoming.restart({ as: 'arrived', runState: 'paused' }, true)
    await until(() => ends.questions.length > 0)
    const refsFilledBy = { sentBefore: 0, resident: 0, store: 0, peer: 0, source: 0 }
    assert.deepEqual(ends.questions, [{
      kind: 'arrived', state: 'paused',
      summary: { streamBytes: 0, refsFilledBy, peerBytes: 0, releaseMs: 0, spent: SPENT },
    }])
  })

  it('says that a copy fell whose QEMU has ended: it may have run', async () => {
    const ends = await restarted()
    await ends.incoming.restart({ as: 'loaded', runState: 'running' }, false)
    await ends.wait()
    assert.deepEqual(ends.delivered.map(({ as }) => as), ['fell'])
    assert.ok(!ends.destination.told.includes('look'))
  })

  it('says that a copy whose QEMU has ended is broken, if it had promised never to run it', async () => {
    const ends = await restarted()
    await ends.incoming.restart({ as: 'unfit', runState: 'running' }, false)
    await ends.wait()
    assert.deepEqual(ends.delivered.map(({ as }) => as), ['failed'])
    assert.ok(ends.written.b.includes('broken unknown'))
  })
})
