import assert from 'node:assert/strict'

import { readStartTicks } from '../../../src/guest/index.ts'
import { OUTCOME_PROTOCOL } from '../../../src/handoff/index.ts'
import { decodeVerdict, encodeQuestion } from '../../../src/handoff/messages.ts'
import { PagemeshError } from '../../../src/runtime/errors.ts'
import { deferred } from '../../../src/runtime/wait.ts'
import { destinationGuest, sourceGuest, UNDO, type FakeDestination } from '../../support/fakeguest.ts'
import { until } from '../../support/passagerelay.ts'
import { Hosts, type Host } from './madehosts.ts'
import { MOVE, playedWorlds, POSTCOPY, STREAM } from './playedworlds.ts'

const ID = 'cd'.repeat(16)
const { signal } = new AbortController()

describe('handoffs of a host', () => {
  const { directory, start, world, held } = playedWorlds()

  describe('that are not settled', () => {
    async function ask(host: Host, id = ID): Promise<string> {
      const stream = await host.mesh.open('a', OUTCOME_PROTOCOL, signal)
      await stream.send(encodeQuestion({ id, copy: { kind: 'whole' } }))
      return decodeVerdict(await stream.receive()).verdict
    }

    function outgoing(as: string, more: object = {}): object {
      return { role: 'outgoing', as, guest: 'web', other: 'b', mode: 'precopy', runState: 'running', ...more }
    }

    it('are answered for, to the host alone that the guest was handed to', async () => {
      const hosts = new Hosts(directory)
      const { guest, control } = sourceGuest('web', [], STREAM)
      control.status = 'completed'
      control.state = 'postmigrate'
      await start(hosts, 'a', { records: new Map([[ID, outgoing('given-up')]]), guests: [guest] })
      const [b, c] = [await start(hosts, 'b'), await start(hosts, 'c')]
      await hosts.wait()
      assert.deepEqual([await ask(c), await ask(b, 'ef'.repeat(16)), await ask(b)], ['unknown', 'unknown', 'given-up'])
    })

    it('are answered for before they are taken up, too', async () => {
      const hosts = new Hosts(directory)
      const { guest, control } = sourceGuest('web', [], STREAM)
      control.status = 'cancelled'
      const a = await start(hosts, 'a', { records: new Map([[ID, outgoing('moving', { undo: UNDO })]]),
        guests: [guest] })
      const b = await start(hosts, 'b')
      assert.equal(await ask(b), 'kept')
      await hosts.wait()
      assert.deepEqual([a.recorded, control.isChanged, control.state], [['kept'], false, 'running'])
    })

    it('are answered from the record of a guest that was kept, whose QEMU is left alone', async () => {
      const hosts = new Hosts(directory)
      const { guest, control } = sourceGuest('web', [], STREAM)
      let opened = 0
      const open = guest.openOutgoing!
      const counted = { ...guest, openOutgoing: (init: Parameters<typeof open>[0]) => {
        opened += 1
        return open(init)
      } }
      await start(hosts, 'a', { records: new Map([[ID, outgoing('kept')]]), guests: [counted] })
      const b = await start(hosts, 'b')
      assert.equal(await ask(b), 'kept')
      assert.deepEqual([opened, control.told], [0, []])
    })

    it('have what they changed put back, though the guest was kept', async () => {
      const hosts = new Hosts(directory)
      const { guest, control } = sourceGuest('web', [], STREAM)
      control.isChanged = true
      await start(hosts, 'a', { records: new Map([[ID, outgoing('kept', { undo: UNDO })]]), guests: [guest] })
      await until(() => !control.isChanged)
    })

    it('are those of the process that they name, and of no later one', async () => {
      const hosts = new Hosts(directory)
      const { guest, control } = sourceGuest('web', [], STREAM)
      control.status = 'completed'
      const own = { pid: process.pid, startTicks: readStartTicks(process.pid)! }
      const other = { ...own, startTicks: own.startTicks + 1 }
      const records = new Map([[ID, outgoing('moving', { process: other })],
        ['ef', outgoing('moving', { process: own })]])
      await start(hosts, 'a', { records, guests: [{ ...guest, process: { pid: own.pid, startTicks: 1 } }] })
      const b = await start(hosts, 'b')
      // The first has ended: it may have gone on before. The second lives, but is not the QEMU of that name.
      assert.equal(await ask(b), 'unknown')
      await assert.rejects(ask(b, 'ef'))
    })

    it('are tried again while their QEMU does not answer', async () => {
      const hosts = new Hosts(directory)
      const { guest, control } = destinationGuest('web', 1)
      control.status = 'completed'
      control.state = 'paused'
      const kept = {
        records: new Map([[ID, { role: 'incoming', as: 'loaded', guest: 'web', other: 'a', mode: 'precopy',
          runState: 'running' }]]),
        guests: [] as typeof guest[],
      }
      const b = await start(hosts, 'b', kept)
      await hosts.wait(5000)
      assert.deepEqual(b.handoffs.allHeld(), [])
      kept.guests.push(guest)
      await hosts.wait(2000)
      assert.deepEqual(b.handoffs.allHeld().map((held) => [held.guest, held.from]), [['web', 'a']])
      assert.match(b.handoffs.held('web').otherCopy, /a has not said what became of its copy/)
    })

    it('are shown with their process where it lives and does not answer', async () => {
      const hosts = new Hosts(directory)
      const { guest, control } = destinationGuest('web', 1)
      const own = { pid: process.pid, startTicks: readStartTicks(process.pid)! }
      const kept = {
        records: new Map([[ID, { role: 'incoming', as: 'loading', guest: 'web', other: 'a', mode: 'precopy',
          runState: 'unknown', process: own }]]),
        guests: [] as typeof guest[],
      }
      const b = await start(hosts, 'b', kept)
      await hosts.wait(5000)
      const [held] = b.handoffs.allHeld()
      assert.deepEqual([held?.guest, held?.from, held?.isOpen, held!.sinceMs >= 2000], ['web', 'a', false, true])
      assert.match(held!.why, new RegExp(`process ${own.pid}, does not answer .* kill -KILL ${own.pid}$`))
      await assert.rejects(b.handoffs.settle('web', 'end'), { code: 'guest-silent', message: held!.why })
      // It answers: nothing has begun in it.
      control.status = 'none'
      kept.guests.push({ ...guest, process: own })
      await hosts.wait(2000)
      assert.deepEqual(b.handoffs.allHeld(), [])
    })

    it('are shown where the guest was kept and their QEMU cannot be ended', async () => {
      const hosts = new Hosts(directory)
      const { guest, control } = destinationGuest('web', 1)
      control.status = 'active'
      control.refuses['end'] = new PagemeshError('guest-silent', 'Process 7 does not answer.', {
        fault: 'guest', advice: 'Kill it.',
      })
      await start(hosts, 'a', { records: new Map([[ID, outgoing('kept')]]), guests: [] })
      const b = await start(hosts, 'b', {
        records: new Map([[ID, { role: 'incoming', as: 'loading', guest: 'web', other: 'a', mode: 'precopy',
          runState: 'unknown' }]]),
        guests: [guest],
      })
      await hosts.wait(10_000)
      const { sinceMs: _sinceMs, ...held } = b.handoffs.held('web')
      assert.deepEqual(held, {
        guest: 'web', from: 'a', why: 'Process 7 does not answer. Kill it.', otherCopy: 'a keeps the guest.',
        isOpen: false,
      })
      await assert.rejects(b.handoffs.settle('web', 'end'), { code: 'guest-silent' })
      assert.ok(control.told.filter((told) => told === 'end').length > 1, 'it is tried again')
      assert.equal(b.history.length, 1, 'and told once')
      delete control.refuses['end']
      await hosts.wait(3000)
      assert.deepEqual([b.handoffs.allHeld(), control.hasEnded, b.recorded], [[], true, []])
    })

    it('are remembered a hundred at most where the guest was kept', async () => {
      const hosts = new Hosts(directory)
      const records = new Map(Array.from({ length: 100 }, (_, index) => [`${index}`.padStart(4, '0'),
        outgoing('kept')]))
      const { guest } = sourceGuest('web', [], STREAM, { holdAfter: 20 })
      const a = await start(hosts, 'a', { records, guests: [guest] })
      const b = await start(hosts, 'b', { records: new Map(), guests: [destinationGuest('web', STREAM.length).guest] })
      const result = a.handoffs.migrate(MOVE)
      await until(() => b.handoffs.list().some(({ phase }) => phase === 'loading'))
      await a.handoffs.cancel('web')
      await result
      await hosts.wait()
      assert.equal(a.recorded.filter((as) => as === 'kept').length, 100)
      assert.ok(!a.kept.records.has('0000') && a.kept.records.has('0001'))
    })

    it('and cannot be read are left as they are', async () => {
      const hosts = new Hosts(directory)
      const a = await start(hosts, 'a', { records: new Map([[ID, { role: 'both' }]]), guests: [] })
      assert.deepEqual([a.warnings, a.kept.records.size], [['a record of a handoff cannot be read'], 1])
    })
  })

  describe('whose copy is held', () => {
    it('let it run, or end it, when the operator says so', async () => {
      for (const decision of ['run', 'end'] as const) {
        const { b, destination } = await held()
        const { guest, from, why } = b.handoffs.held('web')
        assert.deepEqual([guest, from], ['web', 'a'])
        assert.match(why, /connection between the two agents was lost/)
        assert.deepEqual(await b.handoffs.settle('web', decision), {
          guest: 'web', decision, state: decision === 'run' ? 'running' : 'ended',
        })
        assert.equal(destination.hasEnded, decision === 'end')
        assert.deepEqual(b.handoffs.allHeld(), [])
        await assert.rejects(b.handoffs.settle('web', decision), { code: 'not-held' })
        assert.deepEqual(b.history.map(({ status }) => status), ['failed', decision === 'run' ? 'completed' : 'failed'])
      }
    })

    it('say what QEMU refuses, and keep it', async () => {
      const { hosts, b, destination } = await held()
      destination.refuses['release'] = new PagemeshError('guest-cannot-run', 'Its disk is locked.', { fault: 'guest' })
      await assert.rejects(b.handoffs.settle('web', 'run'), { code: 'guest-cannot-run' })
      await hosts.wait()
      destination.refuses['end'] = new PagemeshError('guest-runs', 'It runs.', { fault: 'guest' })
      await assert.rejects(b.handoffs.settle('web', 'end'), { code: 'guest-runs' })
    })

    it('are taken up by the next agent, at both hosts', async () => {
      const { hosts, a, b, source, destination, result } = await held()
      source.complete()
      void result
      await hosts.wait()
      const [atA, atB] = [await a.kill(), await b.kill()]
      const again = { b: await start(hosts, 'b', atB), a: await start(hosts, 'a', atA) }
      hosts.network.reconnect('b')
      await until(() => again.b.handoffs.allHeld().length === 1 || destination.state === 'running')
      await hosts.wait(6000)
      assert.equal(destination.state, 'running')
      assert.ok(!source.told.some((told) => told.startsWith('takeBack')))
      await hosts.wait(4000)
      assert.deepEqual([again.a.recorded, again.b.recorded], [[], []])
    })

    it('are ended by the next agent when the source kept the guest', async () => {
      const { hosts, a, b, source, destination } = await held()
      source.become('failed')
      await hosts.wait()
      const [atA, atB] = [await a.kill(), await b.kill()]
      await start(hosts, 'b', atB)
      await start(hosts, 'a', atA)
      hosts.network.reconnect('b')
      await hosts.wait(6000)
      assert.deepEqual([destination.hasEnded, source.state], [true, 'running'])
    })
  })

  it('that were cut in post-copy are recovered, by the name of the guest', async () => {
    const { hosts, a, b, source, destination } = await world({
      stream: POSTCOPY,
      source: {
        onShut: (control) => { if (control.told.includes('resume')) control.complete() },
        onCut: (control) => control.become('postcopy-paused'),
      },
      destination: { onCut: (control) => control.become('postcopy-paused') },
    })
    // Not all of it comes, and the guest runs all the same.
    const whole = deferred<void>()
    destination.become = ((become) => (status: string) => {
      become.call(destination, status === 'completed' ? 'postcopy-active' : status)
      if (status === 'completed') whole.resolve()
    })(destination.become.bind(destination))
    const result = a.handoffs.migrate({ ...MOVE, mode: 'postcopy' })
    await whole.promise
    await hosts.wait(100)
    await until(() => destination.state === 'running')
    await hosts.wait()
    hosts.network.cutLanes()
    const cut = await result
    assert.match(cut.reason!, /`pagemesh recover web` on a resumes it/)
    assert.deepEqual([a.recorded, b.recorded], [['cut'], ['cut']])
    assert.equal(b.handoffs.allHeld().length, 1)
    assert.match(b.handoffs.held('web').otherCopy, /`pagemesh recover web` there resumes it/)
    await assert.rejects(b.handoffs.settle('web', 'run'), { code: 'undecided' })
    await until(() => source.status === 'postcopy-paused' && destination.status === 'postcopy-paused')
    delete (destination as Partial<FakeDestination>).become
    const said = await a.handoffs.recover({ guest: 'web' })
    assert.deepEqual([source.told.at(-1), destination.told.at(-1)], ['resume', 'recover'])
    assert.deepEqual([said.status, said.mode, said.to], ['completed', 'postcopy', 'b'])
  })
})
