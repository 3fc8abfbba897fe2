import assert from 'node:assert/strict'

import { PagemeshError } from '../../../src/runtime/errors.ts'
import { deferred } from '../../../src/runtime/wait.ts'
import { Ends, SPENT, STREAM } from '../../support/bothends.ts'
import { MACHINE } from '../../support/fakeguest.ts'
import { until } from '../../support/passagerelay.ts'
import { postcopyStream } from '../../support/streambuilder.ts'

const BLOCKS = [{ name: 'pc.ram', pages: [undefined, undefined] }]
const POSTCOPY = postcopyStream(BLOCKS, BLOCKS).bytes

describe('a guest that moves in pre-copy', () => {
  it('is let run only once the source gave it up; both hosts write down each step, then forget it', async () => {
    const ends = new Ends()
    const { result } = await ends.load()
    const { source, destination } = ends
    assert.deepEqual(source.told.filter((told) => told !== 'progress'), ['prepare', 'migrate'])
    assert.deepEqual(destination.told, ['check', 'prepare', 'migrate'])
    assert.deepEqual(destination.checkedWith, [MACHINE, { source: 'a', destination: 'b' }])
    assert.deepEqual(
      [ends.standing, ends.outgoing.state.at, ends.incoming.state.at], [{ a: 1, b: 1 }, 'moving', 'loaded'],
    )
    await ends.wait(1000)
    assert.ok(!destination.told.includes('release running'))
    const released = deferred<void>()
    destination.waits['release'] = released.promise
    source.become('completed')
    await until(() => destination.told.includes('release running'))
    await ends.wait(70)
    assert.equal(ends.delivered.length, 0)
    released.resolve()
    const said = await result
    await ends.wait()
    assert.deepEqual(
      [said.status, said.arrivedState, said.reason, said.code], ['completed', 'running', undefined, undefined],
    )
    assert.equal(said.downtimeMs, 75)
    assert.equal(said.totalMs, 1070)
    assert.deepEqual([said.guest, said.from, said.to, said.mode, said.channels], ['web', 'a', 'b', 'precopy', 1])
    assert.ok(said.digestMatched)
    assert.equal(said.qemuBytes, STREAM.length)
    assert.equal(said.pages.zero, 3)
    assert.deepEqual(said.ledger.spentBytes, { source: SPENT, destination: SPENT })
    assert.equal(said.ledger.savedBytes, said.qemuBytes - said.wireBytes - said.receivedWireBytes)
    assert.equal(said.ledger.netBytes, said.ledger.savedBytes - 12)
    assert.deepEqual(ends.written.a, ['moving unknown', 'moving running', 'given-up running', 'forget'])
    assert.deepEqual(ends.written.b, ['loading unknown', 'loading running', 'loaded running', 'arrived running'])
    assert.deepEqual(ends.standing, { a: 0, b: 0 })
    assert.ok(source.told.includes('close') && destination.told.includes('close'))
    // The destination tells until it is answered: a message may have been lost.
    await ends.wait(2000)
    assert.equal(ends.written.b.at(-1), 'forget')
    assert.equal(ends.incoming.state.at, 'over')
    assert.deepEqual(ends.delivered, [{ as: 'arrived', state: 'running' }])
    assert.deepEqual(ends.amended, [])
  })

  it('counts what each end put on the wire, and what its QEMU took less than that', async () => {
    const ends = new Ends()
    const { result } = await ends.load()
    ends.source.become('completed')
    const said = await result
    await ends.wait()
    const { sentBytes, receivedBytes } = ends.incoming.traffic
    // The offer and its answer go over a stream, which the incoming end does not count.
    assert.ok(
      said.wireBytes > receivedBytes && said.wireBytes < receivedBytes + 1000, `${said.wireBytes} ${receivedBytes}`,
    )
    assert.ok(said.receivedWireBytes >= sentBytes && said.receivedWireBytes < sentBytes + 100)
    assert.ok(sentBytes > 50)
    assert.equal(ends.incoming.savedBytes, STREAM.length - sentBytes - receivedBytes)
  })

  it('tells how far it is, four times a second while the stream runs', async () => {
    const ends = new Ends()
    const { result } = await ends.move()
    await ends.wait(1000)
    assert.equal(ends.measures.length, 4)
    const { wireBytes, ...measure } = ends.measures[0]!
    assert.deepEqual(measure, {
      phase: 'precopy', qemuBytes: 0, remainingBytes: 250, totalBytes: 1000, passes: 1, dirtyBytesPerSecond: 0,
    })
    assert.ok(wireBytes > 0)
    await ends.send()
    await ends.wait(250)
    assert.equal(ends.measures.at(-1)!.phase, 'switchover')
    assert.equal(ends.measures.at(-1)!.qemuBytes, STREAM.length)
    ends.source.progressed = undefined
    const { length } = ends.measures
    await ends.wait(1000)
    assert.equal(ends.measures.length, length)
    ends.destination.become('completed')
    await ends.wait()
    ends.source.become('completed')
    await result
  })

  it('was missed for as long as QEMU said last, though it says no more at the end', async () => {
    const ends = new Ends()
    const { result } = await ends.load()
    await ends.wait(250)
    ends.source.progressed = undefined
    ends.source.become('completed')
    assert.equal((await result).downtimeMs, 5)
  })

  it('goes on at the source when the destination QEMU cannot let it run; that copy is ended', async () => {
    const ends = new Ends()
    const { result } = await ends.load()
    ends.destination.refuses['release'] = new PagemeshError(
      'guest-cannot-run', 'Its disk is locked.', { fault: 'guest' },
    )
    ends.source.become('completed')
    const said = await result
    await ends.wait()
    assert.deepEqual([said.status, said.code, said.downtimeMs], ['failed', 'failed-at-destination', null])
    assert.match(said.reason!, /^b: Its disk is locked\..* runs on at the source, a\.$/)
    assert.ok(ends.source.told.includes('takeBack running'))
    assert.ok(ends.destination.told.includes('end'))
    assert.deepEqual(ends.delivered.map(({ as }) => as), ['ended'])
    // That it never runs its copy is a promise, and on the disk before it is said; so is that this host takes back.
    assert.ok(ends.written.b.includes('unfit running'))
    assert.deepEqual(ends.written.a.slice(2), ['given-up running', 'taking-back running', 'kept running'])
  })

  it('is nobody\'s to let run when the source QEMU refuses as well', async () => {
    const ends = new Ends()
    const { result } = await ends.load()
    ends.destination.refuses['release'] = new Error('no')
    ends.source.refuses['takeBack'] = new PagemeshError('guest-cannot-run', 'Not here either.', { fault: 'guest' })
    ends.source.become('completed')
    const said = await result
    await ends.wait()
    assert.equal(said.status, 'failed')
    assert.match(said.reason!, /could not go on either: Not here either\./)
    assert.ok(!ends.destination.told.includes('end'))
    assert.equal(ends.incoming.state.at, 'holding')
  })
})

describe('a guest that moves in post-copy', () => {
  it('runs at the destination before all its memory is there; both QEMUs end their connection', async () => {
    const ends = new Ends({ mode: 'postcopy' })
    const { source, destination } = ends
    const released = deferred<void>()
    destination.waits['release'] = released.promise
    const { result } = await ends.move()
    source.become('postcopy-active')
    await ends.wait(1000)
    await ends.send(POSTCOPY)
    await until(() => destination.told.includes('release running'))
    await ends.wait(70)
    released.resolve()
    await until(() => ends.incoming.state.at === 'serving')
    assert.ok(source.told.includes('startPostcopy'))
    assert.ok(destination.told.includes('release running'))
    assert.equal(ends.outgoing.state.at, 'serving')
    await ends.wait(250)
    assert.equal(ends.measures.at(-1)!.phase, 'postcopy')
    destination.become('completed')
    const said = await result
    assert.deepEqual([said.status, said.arrivedState, said.downtimeMs], ['completed', 'running', 5 + 70])
    // The last word of one QEMU to the other comes behind what the agents say.
    destination.qemu!.write(Buffer.from('shut'))
    destination.qemu!.endpoint.end()
    source.qemu!.endpoint.end()
    await until(() => source.qemu!.received.equals(Buffer.from('shut')) && source.qemu!.isClosed)
    assert.ok(destination.qemu!.isClosed)
  })

  it('cannot be cancelled once it has switched over', async () => {
    const ends = new Ends({ mode: 'postcopy' })
    const { result } = await ends.serve(POSTCOPY)
    ends.outgoing.cancel({ code: 'cancelled', fault: 'cancelled', message: 'Cancelled.' })
    await ends.wait(1000)
    assert.ok(!ends.source.told.includes('cancel'))
    ends.destination.become('completed')
    assert.equal((await result).status, 'completed')
  })

  it('is not asked to be cancelled while QEMU switches over, either', async () => {
    const ends = new Ends({ mode: 'postcopy' })
    const { result } = await ends.move()
    ends.source.become('postcopy-active')
    ends.outgoing.cancel({ code: 'cancelled', fault: 'cancelled', message: 'Cancelled.' })
    await ends.wait(1000)
    assert.ok(!ends.source.told.includes('cancel'))
    ends.source.become('failed', 'no room')
    const said = await result
    assert.equal(said.status, 'failed')
    assert.match(said.reason!, /failed: no room/)
  })

  it('that is cut waits at both ends, and goes on when asked to, over connections of its own', async () => {
    const ends = new Ends({ mode: 'postcopy' })
    const { result } = await ends.serve(POSTCOPY)
    await ends.cut()
    const cut = await result
    assert.deepEqual([cut.status, cut.arrivedState], ['failed', null])
    assert.match(cut.reason!, /end neither QEMU\. `pagemesh recover web` on a resumes it\.$/)
    assert.deepEqual([ends.outgoing.state.at, ends.incoming.state.at], ['cut', 'cut'])
    assert.deepEqual([ends.written.a.at(-1), ends.written.b.at(-1)], ['cut running', 'cut running'])
    assert.ok(ends.source.qemu!.hasHeardEnd && ends.destination.qemu!.hasHeardEnd)
    assert.deepEqual(ends.standing, { a: 0, b: 0 })
    assert.equal(ends.incoming.held!.sinceMs, 0)
    await ends.wait(5000)
    assert.equal(ends.incoming.held!.sinceMs, 5000)
    // It runs already: there is nothing to be decided.
    await assert.rejects(ends.incoming.settle('end'), { code: 'undecided' })

    const again = ends.outgoing.run()
    await until(() => ends.destination.told.includes('again'))
    assert.ok(ends.source.rejoins && ends.destination.rejoins)
    assert.deepEqual(ends.standing, { a: 1, b: 1 })
    assert.equal(ends.destination.told.filter((told) => told === 'release running').length, 1)
    assert.equal(ends.destination.told.filter((told) => told === 'prepare').length, 1)
    await until(() => ends.outgoing.state.at === 'serving' && ends.incoming.state.at === 'serving')
    await ends.send(Buffer.from('whatever the stream says then'))
    ends.destination.become('completed')
    const said = await again
    assert.deepEqual([said.status, said.arrivedState, said.channels], ['completed', 'running', 2])
    await ends.wait()
    assert.deepEqual(ends.delivered.map(({ as }) => as), ['cut', 'arrived'])
    assert.equal(ends.incoming.held, undefined)
  })

  it('stays cut when it could not go on', async () => {
    const ends = new Ends({ mode: 'postcopy' })
    await ends.serve(POSTCOPY)
    await ends.cut()
    ends.source.refuses['prepare'] = new PagemeshError('not-paused', 'Not yet.', { fault: 'guest' })
    const said = await ends.outgoing.run()
    assert.deepEqual([said.code, ends.outgoing.state.at], ['not-paused', 'cut'])
    delete ends.source.refuses['prepare']
    ends.destination.refuses['check'] = new PagemeshError('not-paused', 'Nor here.', { fault: 'guest' })
    assert.match((await ends.outgoing.run()).reason!, /b refused the guest: Nor here\./)
    assert.deepEqual([ends.outgoing.state.at, ends.incoming.state.at], ['cut', 'cut'])
  })
})

describe('a dry run', () => {
  it('asks what the destination has, and leaves nothing changed', async () => {
    const ends = await new Ends({ plan: 'dryRun' }).start()
    const estimate = await ends.outgoing.estimate()
    assert.deepEqual(estimate, {
      guest: 'web', from: 'a', to: 'b', mode: 'precopy', dryRun: true, distinctPages: 0, pagesAtDestination: 0,
    })
    await ends.wait()
    assert.deepEqual(ends.destination.told, ['check', 'close'])
    assert.ok(!ends.source.told.includes('migrate'))
    assert.ok(ends.source.told.includes('close'))
    assert.deepEqual(ends.written, { a: ['forget'], b: [] })
    assert.deepEqual(ends.standing, { a: 0, b: 0 })
    assert.deepEqual([ends.outgoing.state.at, ends.delivered.map(({ as }) => as)], ['over', ['estimated']])
  })

  it('throws what would have failed the handoff', async () => {
    const ends = await new Ends({ plan: 'dryRun' }).start()
    ends.destination.refuses['check'] = new PagemeshError('machines-differ', 'They differ.', {
      fault: 'usage', advice: 'Start another.',
    })
    await assert.rejects(ends.outgoing.estimate(), {
      code: 'machines-differ', message: 'b refused the guest: They differ.', advice: 'Start another.',
    })
    assert.deepEqual(ends.standing, { a: 0, b: 0 })
  })
})
