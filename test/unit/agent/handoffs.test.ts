import assert from 'node:assert/strict'

import type { Guest } from '../../../src/guest/index.ts'
import { HANDOFF_PROTOCOL } from '../../../src/handoff/index.ts'
import { encodeOffer, HANDOFF_VERSION, type HandoffOffer } from '../../../src/handoff/messages.ts'
import { systemClock } from '../../../src/runtime/clock.ts'
import { PagemeshError } from '../../../src/runtime/errors.ts'
import { requireAccepted, type HandoffResult } from '../../../src/transfer/index.ts'
import { destinationGuest, MACHINE, memoryOf, sourceGuest } from '../../support/fakeguest.ts'
import { until } from '../../support/passagerelay.ts'
import { Hosts, type Host } from './madehosts.ts'
import { MOVE, playedWorlds, POSTCOPY, STREAM } from './playedworlds.ts'

const ID = 'cd'.repeat(16)
const { signal } = new AbortController()

describe('the handoffs of a host', () => {
  const { directory, start, world, moving } = playedWorlds()

  it('move a guest; both hosts remember that, and nothing is left to be settled', async () => {
    const { hosts, a, b, source, destination } = await world()
    const moved = a.handoffs.migrate(MOVE)
    await until(() => destination.told.includes('release running'))
    const result = await moved
    assert.deepEqual([result.status, result.arrivedState, result.reason], ['completed', 'running', undefined])
    await hosts.wait(2000)
    // The destination's hashes are made by other threads, in time of their own.
    await until(() => b.history.length > 0 && b.recorded.length === 0 && b.standing === 0, () => hosts.wait(100))
    assert.deepEqual([a.history, b.history], [
      [{ direction: 'outgoing', status: 'completed' }], [{ direction: 'incoming', status: 'completed' }],
    ])
    assert.deepEqual([a.recorded, b.recorded, a.standing, b.standing], [[], [], 0, 0])
    assert.deepEqual([source.isChanged, destination.isChanged], [false, false])
    assert.equal(a.handoffs.traffic.sentBytes, result.wireBytes)
    assert.equal(a.handoffs.savedBytes, result.qemuBytes - result.wireBytes - result.receivedWireBytes)
    assert.ok(b.handoffs.traffic.receivedBytes > 0)
    assert.deepEqual([a.handoffs.list(), b.handoffs.list()], [[], []])
  })

  it('leave nothing changed in a dry run', async () => {
    const { hosts, a, b, source, destination } = await world()
    const estimate = await a.handoffs.estimate(MOVE)
    assert.deepEqual([estimate.guest, estimate.to, estimate.distinctPages], ['web', 'b', 0])
    await hosts.wait(3000)
    assert.deepEqual([destination.told, destination.state, source.state], [[], 'inmigrate', 'running'])
    assert.ok(!source.told.includes('begin'))
    assert.deepEqual([source.isChanged, destination.isChanged, a.recorded, b.recorded], [false, false, [], []])
    assert.deepEqual([a.history, b.history, a.standing, b.standing], [[], [], 0, 0])
    assert.equal((await a.handoffs.migrate(MOVE)).status, 'completed')
  })

  it('say in a dry run what a handoff would come to', async () => {
    const { hosts, a } = await world()
    const running = a.handoffs.estimate({ ...MOVE, maxBandwidth: 1e6, onTimeout: 'postcopy', timeoutMs: 1000 }, true)
    let isOver = false
    const over = running.finally(() => { isOver = true })
    await until(() => isOver, () => hosts.wait(100))
    const { mode, expected, obstacles } = await over
    assert.deepEqual([mode, obstacles], ['precopy', []])
    assert.ok(expected!.wireBytes > 0 && expected!.totalMs! > 0)
    assert.equal(expected!.downtimeMs, null)
  })

  it('refuse what cannot be, each for its reason', async () => {
    const { a, source } = await world()
    const code = async (request: Parameters<Host['handoffs']['migrate']>[0]) =>
      (await a.handoffs.migrate(request)).code
    assert.equal(await code({ guest: 'nobody', to: 'b' }), 'guest-unknown')
    assert.equal(await code({ guest: 'web', to: 'a' }), 'same-host')
    assert.equal(await code({ guest: 'web', to: 'c' }), 'host-unknown')
    assert.equal(await code({ guest: 'web', to: 'b', mode: 'postcopy', channels: 2 }), 'channels-impossible')
    await assert.rejects(a.handoffs.estimate({ guest: 'web', to: 'b', mode: 'postcopy', channels: 2 }), {
      code: 'channels-impossible', fault: 'usage', message: /2 channels .* post-copy/,
    })
    await assert.rejects(a.handoffs.estimate({ guest: 'web', to: 'c' }),
      { code: 'host-unknown', advice: 'This host sees: b.' })
    await assert.rejects(a.handoffs.cancel('web'), { code: 'no-handoff' })
    await assert.rejects(a.handoffs.settle('web', 'run'), { code: 'not-held' })
    assert.throws(() => a.handoffs.held('web'), { code: 'not-held' })
    const recovered = await a.handoffs.recover({ guest: 'web' })
    assert.deepEqual([recovered.status, recovered.code], ['failed', 'nothing-to-recover'])
    assert.deepEqual(source.told, [])
  })

  it('move a guest once at a time, whichever way', async () => {
    const { a, b, result, hosts } = await moving()
    assert.equal((await a.handoffs.migrate(MOVE)).code, 'already-moving')
    assert.equal((await b.handoffs.migrate({ guest: 'web', to: 'a' })).code, 'already-moving')
    assert.deepEqual(a.handoffs.list().map(({ direction, guest }) => [direction, guest]), [['outgoing', 'web']])
    assert.deepEqual(b.handoffs.list().map(({ direction, phase }) => [direction, phase]), [['incoming', 'loading']])
    assert.deepEqual([a.standing, b.standing], [4, 4])
    const cancelling = a.handoffs.cancel('web')
    const said = await result
    assert.equal(said.status, 'cancelled')
    assert.deepEqual(await cancelling, { status: 'cancelled', result: said })
    await hosts.wait()
    assert.deepEqual([a.handoffs.list(), a.standing], [[], 0])
    await assert.rejects(a.handoffs.cancel('web'), { code: 'no-handoff' })
  })

  it('say of a cancel that it came too late when the guest moved all the same', async () => {
    const { a, source, destination } = await world({ source: { onShut: () => {} } })
    source.ignoresCancel = true
    const result = a.handoffs.migrate(MOVE)
    await until(() => destination.status === 'completed')
    const cancelling = a.handoffs.cancel('web')
    await until(() => source.cancelled)
    source.complete()
    assert.deepEqual(await cancelling, { status: 'too-late', result: await result })
  })

  it('are cancelled by their signal, before they began as well', async () => {
    const { a, source } = await world()
    const abort = new AbortController()
    abort.abort()
    const said = await a.handoffs.migrate({ ...MOVE, signal: abort.signal })
    assert.deepEqual([said.status, said.code], ['cancelled', 'cancelled'])
    assert.deepEqual(source.told, [])
  })

  it('begin nothing that cannot be written down', async () => {
    const { hosts, a, b, source, destination } = await world()
    a.kept.unwritable = new PagemeshError('journal-unwritable', 'The disk is full.', { fault: 'host' })
    const said = await a.handoffs.migrate(MOVE)
    await hosts.wait()
    assert.deepEqual([said.status, said.code, source.isChanged], ['failed', 'journal-unwritable', false])
    assert.ok(!source.told.includes('begin') && destination.told.length === 0)
    delete a.kept.unwritable
    b.kept.unwritable = new PagemeshError('journal-unwritable', 'The disk is full there.', { fault: 'host' })
    assert.equal((await a.handoffs.migrate(MOVE)).code, 'journal-unwritable')
    assert.ok(!destination.isChanged)
  })

  /** Guests that stop in the middle of their streams until they are cancelled, and hosts with these limits. */
  async function crowd(count: number, parallel: { a: number; b: number }) {
    const hosts = new Hosts(directory)
    const names = Array.from({ length: count }, (_, index) => `web-${index}`)
    const sources = names.map((name) => sourceGuest(name, [], STREAM, { holdAfter: 20 }))
    const destinations = names.map((name) => destinationGuest(name, STREAM.length))
    const guestsOf = (ends: readonly { guest: Guest }[]) =>
      ({ records: new Map(), guests: ends.map(({ guest }) => guest) })
    const a = await start(hosts, 'a', { ...guestsOf(sources), parallel: parallel.a })
    const b = await start(hosts, 'b', { ...guestsOf(destinations), parallel: parallel.b })
    const moving = (): number => sources.filter(({ control }) => control.status === 'active').length
    const move = (guest: string, wait = true) => a.handoffs.migrate({ guest, to: 'b', wait })
    return { hosts, names, a, b, moving, move }
  }

  function queued({ handoffs }: Host): (string | undefined)[][] {
    return handoffs.list().flatMap((one) => (one.phase === 'queued' && 'why' in one ? [[one.guest, one.why]] : []))
  }

  async function cancelled(hosts: Hosts, results: readonly Promise<HandoffResult>[]): Promise<void> {
    let said: HandoffResult[] | undefined
    void Promise.all(results).then((all) => { said = all })
    // Hashes are made by other threads: virtual time must not run ahead of them, or the ends give each other up.
    await until(() => said !== undefined, async () => {
      await systemClock.sleep(5)
      await hosts.wait(20)
    })
    assert.deepEqual(said!.map(({ status }) => status), results.map(() => 'cancelled'))
  }

  it('leave so many at once, and queue or refuse the others, as they were asked to', async () => {
    const { hosts, names, a, moving, move } = await crowd(5, { a: 2, b: 16 })
    const results = names.slice(0, 4).map((guest) => move(guest))
    await until(() => moving() === 2)
    const refused = await move('web-4', false)
    assert.deepEqual([refused.status, refused.code], ['failed', 'busy'])
    assert.match(refused.reason!, /2 guests leave this host now, the most at once .* Say --wait/)
    assert.deepEqual(queued(a), [
      ['web-2', '2 guests leave this host now; it is the next'],
      ['web-3', '2 guests leave this host now; 1 before it in the queue'],
    ])
    assert.equal((await a.handoffs.cancel('web-2')).status, 'cancelled')
    void a.handoffs.cancel('web-0')
    await until(() => queued(a).length === 0, () => hosts.wait(100))
    assert.deepEqual(a.handoffs.list().map(({ guest }) => guest), ['web-1', 'web-3'])
    for (const guest of ['web-1', 'web-3']) void a.handoffs.cancel(guest)
    await cancelled(hosts, results)
  })

  it('tell who asks that they are queued', async () => {
    const { hosts, names, a, moving, move } = await crowd(2, { a: 1, b: 16 })
    const results = [move('web-0'), move('web-1')]
    const told: string[] = []
    void results[1]!.on('progress', ({ phase, why }) => told.push(`${phase}: ${why ?? ''}`))
    await until(() => moving() === 1)
    assert.deepEqual(told, ['queued: 1 guest leaves this host now; it is the next'])
    for (const guest of names) void a.handoffs.cancel(guest)
    await cancelled(hosts, results)
  })

  it('come so many at once, and the next is offered again until there is room', async () => {
    const { hosts, names, a, b, moving, move } = await crowd(3, { a: 16, b: 2 })
    const results = names.map((guest) => move(guest, false))
    await until(() => moving() === 2 && queued(a).length === 1)
    const [[waits, why]] = queued(a) as [[string, string]]
    assert.equal(why, 'b takes no more guests now')
    assert.deepEqual([b.handoffs.refusedOffers, b.audited], [0, []])
    const [gone, stays] = names.filter((name) => name !== waits)
    void a.handoffs.cancel(gone!)
    await until(() => queued(a).length === 0, () => hosts.wait(100))
    for (const guest of [stays!, waits]) void a.handoffs.cancel(guest)
    await cancelled(hosts, results)
    assert.equal(a.history.length, 3)
  })

  it('are cancelled while they wait for room at their destination', async () => {
    const { hosts, names, a, moving, move } = await crowd(2, { a: 16, b: 1 })
    const results = [move('web-0'), move('web-1')]
    await until(() => moving() === 1 && queued(a).length === 1)
    const [[waits]] = queued(a) as [[string, string]]
    assert.equal((await a.handoffs.cancel(waits)).status, 'cancelled')
    void a.handoffs.cancel(names.find((name) => name !== waits)!)
    await cancelled(hosts, results)
  })

  it('fail once they have waited for their time-out for room at their destination', async () => {
    const { hosts, a, moving, move } = await crowd(2, { a: 16, b: 1 })
    const results = [move('web-0')]
    await until(() => moving() === 1)
    let late: HandoffResult | undefined
    const asked = { guest: 'web-1', to: 'b', wait: true, timeoutMs: 3000 }
    void a.handoffs.migrate(asked).then((result) => { late = result })
    await until(() => queued(a).length === 1)
    await until(() => late !== undefined, () => hosts.wait(100))
    assert.deepEqual([late!.status, late!.code], ['failed', 'timeout'])
    assert.match(late!.reason!, /^web-1 waited in the queue for 3 s: b takes no more guests now\. Allow more time/)
    assert.deepEqual(a.handoffs.list().map(({ guest }) => guest), ['web-0'])
    void a.handoffs.cancel('web-0')
    await cancelled(hosts, results)
  })

  describe('offered by another host', () => {
    const offer: Omit<HandoffOffer, 'ticket'> = {
      version: HANDOFF_VERSION, id: ID, guest: 'web', mode: 'precopy', plan: 'move', machine: MACHINE,
      beside: { multifd: 0, preempt: false },
    }

    /** What b answers `from`'s offer with; undefined: it accepts. */
    async function offered(from: Host, more: Partial<HandoffOffer> = {}): Promise<string | undefined> {
      const { ticket, lane } = from.mesh.offerLane(signal)
      lane.catch(() => {})
      const stream = await from.mesh.open('b', HANDOFF_PROTOCOL, signal)
      await stream.send(encodeOffer({ ...offer, ticket, ...more }))
      const answer = await stream.receive()
      try {
        requireAccepted(answer, 'b')
        return undefined
      } catch (error) {
        return (error as PagemeshError).code
      }
    }

    it('are refused in another version, for guests that do not wait, and when they began already', async () => {
      const { a, b, destination } = await world()
      assert.equal(await offered(a, { version: 1 }), 'bad-offer')
      assert.equal(await offered(a, { guest: 'other' }), 'no-waiting-guest')
      assert.equal(await offered(a), undefined)
      assert.equal(await offered(a), 'already-moving')
      assert.equal(await offered(a, { id: 'ef'.repeat(16) }), 'already-moving')
      destination.state = 'running'
      assert.ok(b.warnings.includes('an offer was refused'))
    })

    it('are not remembered once the source\'s host knows that the guest arrived', async () => {
      let ids: string[] = []
      const made = await world({ source: { onShut: (source) => {
        ids = [...made.b.kept.records.keys()]
        source.complete()
      } } })
      const { hosts, a, b } = made
      assert.equal((await a.handoffs.migrate(MOVE)).status, 'completed')
      await hosts.wait(2000)
      await until(() => b.recorded.length === 0, () => hosts.wait(100))
      assert.equal(ids.length, 1)
      // While all of it is kept, its id is taken.
      assert.equal(await offered(a, { id: ids[0]! }), 'no-waiting-guest')
    })

    it('are refused, a dry run as well, unless a rule lets that host hand over that guest', async () => {
      const hosts = new Hosts(directory)
      const destination = destinationGuest('web', STREAM.length)
      const b = await start(hosts, 'b', {
        records: new Map(), guests: [destination.guest], accept: [{ guest: 'web*', from: ['a'] }],
      })
      const [a, c] = [await start(hosts, 'a'), await start(hosts, 'c')]
      assert.equal(await offered(c), 'not-accepted')
      assert.equal(await offered(c, { plan: 'dryRun' }), 'not-accepted')
      assert.equal(await offered(a, { guest: 'db' }), 'not-accepted')
      await hosts.wait(100)
      assert.deepEqual([destination.control.told, b.recorded, b.history], [[], [], []])
      assert.deepEqual(b.audited, [['c', 'web'], ['c', 'web'], ['a', 'db']].map(([member, guest]) =>
        ({ event: 'offer-refused', member, guest, code: 'not-accepted' })))
      assert.equal(b.handoffs.refusedOffers, 3)
      assert.equal(await offered(a), undefined)
    })

    it('go on with a post-copy that was cut only for the host that it came from', async () => {
      const { hosts, a, b, destination } = await world({ stream: POSTCOPY })
      const c = await start(hosts, 'c')
      const guests = b.kept.guests
      destination.status = 'postcopy-paused'
      destination.state = 'running'
      b.kept.records.set(ID, { role: 'incoming', as: 'cut', guest: 'web', other: 'a', mode: 'postcopy',
        runState: 'running' })
      const kept = await b.kill()
      const again = await start(hosts, 'b', { ...kept, guests })
      await until(() => again.handoffs.allHeld().length === 1)
      assert.equal(await offered(c, { plan: 'rejoin', mode: 'postcopy' }), 'nothing-to-recover')
      assert.equal(await offered(a, { plan: 'rejoin', mode: 'postcopy', id: 'ef'.repeat(16) }), 'nothing-to-recover')
      assert.equal(await offered(a, { plan: 'rejoin', mode: 'postcopy' }), undefined)
      assert.match(again.handoffs.allHeld()[0]?.otherCopy ?? 'pagemesh recover web', /pagemesh recover web/)
    })

    it('are waited for five seconds once they are begun', async () => {
      const { hosts, a } = await world()
      const stream = await a.mesh.open('b', HANDOFF_PROTOCOL, signal)
      let answer: Uint8Array | undefined
      void stream.receive().then((bytes) => { answer = bytes })
      await hosts.wait(4999)
      assert.equal(answer, undefined)
      await hosts.wait(1)
      assert.throws(() => requireAccepted(answer!, 'b'), { code: 'timeout' })
    })
  })

  it('end with the agent: what goes out is cancelled, and what comes in is broken off', async () => {
    for (const stops of ['a', 'b'] as const) {
      const { hosts, result, source, ...both } = await moving()
      const stopping = both[stops].handoffs.stop()
      const said = await result
      await hosts.wait()
      await stopping
      assert.equal(said.status, stops === 'a' ? 'cancelled' : 'failed')
      const where = stops === 'a' ? 'source' : 'destination'
      assert.ok(said.reason!.includes(`The agent at the ${where} was stopped.`))
      assert.deepEqual([source.state, source.isChanged], ['running', false])
    }
  })

  it('know of memory alone that it cannot move', async () => {
    const hosts = new Hosts(directory)
    const guest = { name: 'still', memory: memoryOf('still', []), state: async () => 'running' as const }
    const a = await start(hosts, 'a', { records: new Map(), guests: [guest] })
    await start(hosts, 'b')
    assert.equal((await a.handoffs.migrate({ guest: 'still', to: 'b' })).code, 'guest-not-movable')
  })
})
