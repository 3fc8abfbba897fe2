import assert from 'node:assert/strict'

import {
  Evacuation, type EvacuateRequest, type EvacuationNews, type EvacuationResult,
} from '../../../src/agent/evacuation.ts'
import type { Handoff, MigrateRequest } from '../../../src/agent/index.ts'
import { withProgress } from '../../../src/agent/leaving.ts'
import type { HostSummary } from '../../../src/agent/summary.ts'
import { PagemeshError } from '../../../src/runtime/errors.ts'
import { silentLog } from '../../../src/runtime/log.ts'
import { deferred, type Deferred } from '../../../src/runtime/wait.ts'
import { progressOf, resultOf } from '../../support/fakeagent.ts'
import { settle, until } from '../../support/passagerelay.ts'
import { VirtualClock } from '../../support/time.ts'

const MIB = 2 ** 20
const GUEST_BYTES = 512 * MIB

interface Move {
  request: MigrateRequest
  outcome: Deferred<'completed' | 'failed' | 'cancelled'>
  queue: () => void
}

/** A host `a` with guests, others where QEMUs wait, and what each has of a guest's 1000 pages. */
class World {
  readonly clock = new VirtualClock()
  readonly moves: Move[] = []
  /** Whose handoffs were predicted, as `guest host`. */
  readonly foreseen: string[] = []
  readonly news: EvacuationNews[] = []
  readonly states = new Map<string, string>()
  managed: string[] = []
  waiting: Record<string, string[]> = {}
  known: Record<string, number> = {}
  room: Record<string, number> = {}
  refuses: string[] = []
  unsettled: string[] = []
  /** Runs while a destination is asked for its pages. */
  onAsked: ((guest: string) => Promise<void> | undefined) | undefined

  constructor(guests: readonly string[]) {
    for (const guest of guests) this.states.set(guest, 'running')
  }

  run(request: EvacuateRequest = {}, parallel = 4): Promise<EvacuationResult> {
    const members = Object.keys(this.waiting).map((name) => ({ name, peerId: name, address: '' }))
    const guestOf = (name: string) => ({
      name, driver: this.managed.includes(name) ? 'managed' : 'qmp', lastState: this.states.get(name)!,
      memory: { blocks: [{ bytes: GUEST_BYTES }] }, state: async () => this.states.get(name)!,
    })
    const components = {
      clock: this.clock, log: silentLog, mesh: { self: { name: 'a' }, members: () => members },
      guests: {
        all: () => [...this.states.keys()].map(guestOf), refresh: async () => {},
        find: (name: string) => (this.states.has(name) ? guestOf(name) : undefined),
      },
      summaries: {
        fresh: async (asked: readonly { name: string }[]) => ({
          hosts: [this.summaryOf('a'), ...asked.map(({ name }) => this.summaryOf(name))], silent: [],
        }),
      },
      known: (guest: string, host: string) => (
        { distinctPages: 1000, pagesAtDestination: this.known[`${guest} ${host}`] ?? 0 }),
      handoffs: {
        migrate: (asked: MigrateRequest) => this.migrate(asked),
        unsettled: (guest: string) => (this.unsettled.includes(guest)
          ? new PagemeshError('undecided', `An earlier handoff of ${guest} is not settled.`, { fault: 'usage' })
          : undefined),
        estimate: async ({ guest, to }: MigrateRequest, isWhole = false) => {
          const asked = this.onAsked?.(guest)
          if (asked !== undefined) await asked
          if (isWhole) this.foreseen.push(`${guest} ${to}`)
          if (this.refuses.includes(to)) throw new PagemeshError('not-accepted', `${to} refused it.`, { fault: 'peer' })
          return {
            guest, from: 'a', to, mode: 'precopy' as const, dryRun: true as const, distinctPages: 1000,
            pagesAtDestination: this.known[`${guest} ${to}`] ?? 0,
          }
        },
      },
    }
    const init = { ...request, onNews: (news: EvacuationNews) => { this.news.push(news) } }
    type Components = ConstructorParameters<typeof Evacuation>[0]
    return new Evacuation(components as unknown as Components, init, { parallel }).run()
  }

  /** The moves that run, as `guest host`. */
  get running(): string[] {
    return this.moves.map(({ request }) => `${request.guest} ${request.to}`)
  }

  async end(guest: string, as: 'completed' | 'failed' = 'completed'): Promise<void> {
    const move = this.moves.find(({ request }) => request.guest === guest)!
    this.moves.splice(this.moves.indexOf(move), 1)
    if (as === 'completed') this.states.delete(guest)
    move.outcome.resolve(as)
    await settle()
  }

  private migrate(request: MigrateRequest): Handoff {
    const outcome = deferred<'completed' | 'failed' | 'cancelled'>()
    request.signal?.addEventListener('abort', () => outcome.resolve('cancelled'))
    return withProgress(async (onProgress) => {
      this.moves.push({
        request, outcome, queue: () => onProgress({ ...progressOf(request), phase: 'queued', why: 'b is full' }),
      })
      await settle(1)
      onProgress(progressOf(request))
      const status = await outcome.promise
      return resultOf(request, status, status === 'completed' ? undefined : `It was ${status}.`)
    })
  }

  private summaryOf(host: string): HostSummary {
    const waiting = this.waiting[host] ?? []
    return {
      host, version: '1', settled: true, unsettledMs: 0, parallel: 4, arriving: 0, guestCount: waiting.length,
      memory: { totalBytes: 64 * GUEST_BYTES, availableBytes: this.room[host] ?? 64 * GUEST_BYTES },
      guests: waiting.map((name) => ({ name, state: 'inmigrate', manager: null, ramBytes: GUEST_BYTES })),
      handoffs: [], held: [], history: [], popularity: { pages: 0 },
      store: { bytes: 0, maxBytes: 0, damagedPages: 0 },
      ledger: { savedBytes: 0, spentBytes: 0, netBytes: 0, series: [] },
    }
  }
}

function toldOf({ guests }: EvacuationResult): (string | null | undefined)[][] {
  return guests.map(({ guest, to, status, code }) => [guest, to, status, code])
}

describe('an evacuation', () => {
  it('moves each guest to the host that has most of its pages, the best known first, so many at once', async () => {
    const world = new World(['one', 'two', 'three'])
    world.waiting = { b: ['one', 'two', 'three'], c: ['one', 'three'] }
    world.known = { 'one b': 100, 'one c': 700, 'two b': 900, 'three b': 300, 'three c': 300 }
    const result = world.run({ parallel: 2, maxBandwidth: 100, timeoutMs: 5000, onTimeout: 'pause' })
    await until(() => world.moves.length === 2)
    await settle()
    assert.deepEqual(world.running, ['two b', 'one c'])
    const asked = world.moves.map(({ request: { wait, maxBandwidth } }) => [wait, maxBandwidth])
    assert.deepEqual(asked, [[true, 50], [true, 50]])
    const late = world.moves.map(({ request: { timeoutMs, onTimeout } }) => [timeoutMs, onTimeout])
    assert.deepEqual(late, [[5000, 'pause'], [5000, 'pause']])
    await world.end('two')
    // Equally known on both: two guests of equal size are on their way to one each, and b is the first by name.
    assert.equal(world.running.length, 2)
    await world.end('one')
    await world.end('three')
    const { status, guests } = await result
    assert.equal(status, 'completed')
    assert.deepEqual(guests.map(({ guest, status }) => [guest, status]),
      [['one', 'completed'], ['three', 'completed'], ['two', 'completed']])
    assert.equal(guests[0]!.why, 'c says that it has 70 % of its pages, b 10 %.')
    const told = world.news.flatMap((news) => ('event' in news ? [[news.done, news.total, news.guest]] : []))
    assert.deepEqual(told, [[1, 3, 'two'], [2, 3, 'one'], [3, 3, 'three']])
  })

  it('says of a guest that cannot go why, and moves the others', async () => {
    const world = new World(['alone', 'large', 'libvirts', 'other', 'shy'])
    world.managed = ['libvirts']
    world.waiting = { b: ['large', 'other', 'shy'], c: ['shy'] }
    world.states.set('coming', 'inmigrate')
    world.room = { b: 1.5 * GUEST_BYTES, c: GUEST_BYTES }
    world.refuses = ['c']
    const result = world.run()
    await until(() => world.moves.length === 1)
    const [name] = world.running
    await world.end(name!.split(' ')[0]!)
    const { status, guests } = await result
    assert.equal(status, 'failed')
    const codes = Object.fromEntries(guests.map(({ guest, status, code }) => [guest, code ?? status]))
    assert.equal(codes.alone, 'no-waiting-guest')
    assert.equal(codes.libvirts, 'guest-managed')
    assert.ok(!('coming' in codes))
    // b has room for one of the three that wait there.
    const three = new Set(['large', 'other', 'shy'].map((guest) => codes[guest]))
    assert.deepEqual(three, new Set(['completed', 'no-room', 'not-accepted']))
    const reasonOf = (asked: string) => guests.find(({ guest, code }) => guest === asked || code === asked)!.reason!
    assert.match(reasonOf('no-room'), /512 MiB, has no room on b \(768 MiB available\)/)
    assert.match(reasonOf('alone'), /No QEMU named alone waits .*: none does on b, c/)
  })

  it('sends a guest elsewhere whose destination failed, as long as it runs here', async () => {
    const world = new World(['one', 'two'])
    world.waiting = { b: ['one', 'two'], c: ['one'] }
    world.known = { 'one b': 500, 'two b': 400 }
    const result = world.run()
    await until(() => world.moves.length === 2)
    assert.deepEqual([...world.running].sort(), ['one b', 'two b'])
    await world.end('one', 'failed')
    await until(() => world.running.includes('one c'))
    await world.end('two', 'failed')
    await world.end('one')
    assert.deepEqual(toldOf(await result), [
      ['one', 'c', 'completed', undefined], ['two', 'b', 'failed', undefined],
    ])
  })

  it('asks again where there is room when that has changed while the hosts were asked', async () => {
    const world = new World(['other', 'early', 'first', 'second', 'late'])
    // Each has a second host, which is full, so that its hosts are asked.
    const full = ['early', 'first', 'second']
    world.waiting = { b: ['early', 'late'], c: ['other', 'late'], d: ['first', 'second'], z: full }
    world.room = { b: GUEST_BYTES, c: GUEST_BYTES, z: 0 }
    const gates = new Map(['early', 'first', 'second', 'late'].map((guest) => [guest, deferred<void>()]))
    const asked: string[] = []
    world.onAsked = (guest) => {
      asked.push(guest)
      return gates.get(guest)?.promise
    }
    const result = world.run({ parallel: 5 })
    await until(() => world.running.includes('other c'))
    // The turn of `late`: c is full, so that b alone is asked, which is full then as well; and c is free again.
    gates.get('first')!.resolve()
    await until(() => asked.includes('late'))
    gates.get('early')!.resolve()
    await until(() => world.running.includes('early b'))
    await world.end('other', 'failed')
    gates.get('late')!.resolve()
    gates.get('second')!.resolve()
    await until(() => world.running.includes('late c') && world.running.includes('second d'))
    for (const guest of ['early', 'first', 'second', 'late']) await world.end(guest)
    assert.deepEqual((await result).guests.map(({ guest, status }) => [guest, status]), [
      ['early', 'completed'], ['first', 'completed'], ['late', 'completed'], ['other', 'failed'],
      ['second', 'completed'],
    ])
  })

  it('counts what has arrived at a host against its memory', async () => {
    const world = new World(['early', 'late'])
    world.waiting = { b: ['early', 'late'], z: ['late'] }
    world.room = { b: GUEST_BYTES, z: 0 }
    const asked = deferred<void>()
    world.onAsked = (guest) => (guest === 'late' ? asked.promise : undefined)
    const result = world.run()
    await until(() => world.running.includes('early b'))
    world.room = { b: 0, z: 0 }
    await world.end('early')
    asked.resolve()
    await settle()
    assert.deepEqual(world.running, [])
    assert.deepEqual(toldOf(await result), [
      ['early', 'b', 'completed', undefined], ['late', null, 'failed', 'no-room'],
    ])
  })

  it('does not send a guest elsewhere that may be at its destination', async () => {
    const world = new World(['one'])
    world.waiting = { b: ['one'], c: ['one'] }
    const result = world.run()
    await until(() => world.moves.length === 1)
    world.states.set('one', 'postmigrate')
    await world.end('one', 'failed')
    assert.deepEqual(toldOf(await result), [['one', 'b', 'failed', undefined]])
  })

  it('says of a guest that left before whether it may not have arrived', async () => {
    const world = new World(['gone', 'lost'])
    for (const guest of ['gone', 'lost']) world.states.set(guest, 'postmigrate')
    world.unsettled = ['lost']
    world.waiting = { b: [] }
    const result = await world.run()
    assert.equal(result.status, 'failed')
    assert.deepEqual(toldOf(result), [['lost', null, 'failed', 'undecided']])
  })

  it('begins no further guest once it is stopped, and lets those end that move', async () => {
    const world = new World(['one', 'two', 'three'])
    world.waiting = { b: ['one', 'two', 'three'] }
    world.known = { 'one b': 900, 'two b': 800 }
    const stopping = new AbortController()
    const result = world.run({ parallel: 2, signal: stopping.signal })
    await until(() => world.moves.length === 2)
    await settle()
    world.moves[1]!.queue()
    stopping.abort()
    await settle()
    await world.end('one')
    const { status, guests } = await result
    assert.equal(status, 'cancelled')
    assert.deepEqual(guests.map(({ guest, status }) => [guest, status]),
      [['one', 'completed'], ['three', 'cancelled'], ['two', 'cancelled']])
    assert.equal(guests[1]!.reason, 'Its handoff was not begun.')
  })

  it('only says where guests would go in a dry run', async () => {
    const world = new World(['one', 'two'])
    world.waiting = { b: ['one'] }
    world.known = { 'one b': 500 }
    const { status, dryRun, guests } = await world.run({ dryRun: true })
    assert.deepEqual([status, dryRun, world.moves], ['failed', true, []])
    assert.deepEqual(world.foreseen, ['one b'])
    assert.deepEqual(guests.map(({ guest, status, estimate }) => [guest, status, estimate?.pagesAtDestination]),
      [['one', 'planned', 500], ['two', 'failed', undefined]])
  })

  it('says why each guest would go where it would, by the word of the hosts', async () => {
    const world = new World(['alone', 'known', 'last'])
    world.waiting = { b: ['known', 'last'], c: ['alone', 'known'], d: ['known'], e: ['known'], f: ['known', 'last'] }
    world.known = { 'known b': 300, 'known c': 909, 'known d': 20, 'known f': 400 }
    world.room = { f: 0.5 * GUEST_BYTES }
    const { guests } = await world.run({ dryRun: true })
    assert.deepEqual(guests.map(({ guest, to, why }) => [guest, to, why]), [
      ['alone', 'c', 'No other host has a QEMU that waits for it.'],
      ['known', 'c', 'c says that it has 90 % of its pages, b 30 %, d 2 %, e 0 %.'],
      ['last', 'b', 'No other host takes it.'],
    ])
  })

  it('refuses hosts that are not there', async () => {
    const world = new World(['one'])
    await assert.rejects(world.run(), { code: 'no-hosts' })
    world.waiting = { b: ['one'] }
    await assert.rejects(world.run({ to: ['b', 'x', 'y'] }), {
      code: 'host-unknown', message: 'No host named x, y is in the mesh.', advice: 'This host sees: b.',
    })
  })
})
