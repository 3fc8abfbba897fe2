import assert from 'node:assert/strict'

import { knownPages } from '../../../src/agent/examination.ts'
import { askReach, REACH_PROTOCOL, ReachServer } from '../../../src/agent/reach.ts'
import { VERSION } from '../../../src/agent/version.ts'
import { MemoryNetwork, type Mesh } from '../../../src/mesh/index.ts'
import { PageColumns } from '../../../src/page/pagecolumns.ts'
import { SortedTable } from '../../../src/page/index.ts'
import { systemClock, type Clock } from '../../../src/runtime/clock.ts'
import { tryToConnect } from '../../../src/net/tcpprobe.ts'

const never = new AbortController().signal

describe('two members that ask whether they reach each other', () => {
  let a: Mesh
  let b: Mesh
  const later: Clock = { ...systemClock, wallTime: () => systemClock.wallTime() + 60_000 }

  beforeEach(async () => {
    const network = new MemoryNetwork()
    a = network.createMesh('a')
    b = network.createMesh('b')
    for (const mesh of [a, b]) await mesh.start()
  })

  afterEach(async () => {
    for (const mesh of [a, b]) await mesh.stop()
  })

  function serve(mesh: Mesh = b): void {
    const server = new ReachServer({ mesh, clock: later })
    mesh.handle(REACH_PROTOCOL, (stream, from) => server.answer(stream, from))
  }

  it('dial each other\'s lanes, and tell their version and clock', async () => {
    serve()
    const { host, there, answer, why } = await askReach({ mesh: a, clock: systemClock }, a.member('b')!, never)
    assert.deepEqual([host, why, there.lane, there.mesh], ['b', null, { address: 'b:1', why: null }, []])
    assert.deepEqual(answer!.back, { lane: { address: 'a:1', why: null }, mesh: [] })
    assert.equal(answer!.version, VERSION)
    assert.ok(Math.abs(answer!.clockDifferenceMs - 60_000) < 1000, String(answer!.clockDifferenceMs))
  })

  it('hear why a lane could not be dialed', async () => {
    serve()
    b.dialLane = async () => { throw new Error('no way there') }
    const { there, answer } = await askReach({ mesh: a, clock: systemClock }, a.member('b')!, never)
    assert.equal(there.lane?.why, null)
    assert.deepEqual(answer!.back.lane, { address: 'a:1', why: 'no way there' })
  })

  it('say that it is not known where the other does not answer, or answers oddly', async () => {
    const ask = () => askReach({ mesh: a, clock: systemClock }, a.member('b')!, never)
    const silent = await ask()
    assert.equal(silent.answer, null)
    assert.match(silent.why!, /./)
    b.handle(REACH_PROTOCOL, async (stream) => {
      await stream.receive()
      await stream.send(new TextEncoder().encode('{"version":1,"program":7}'))
    })
    assert.match((await ask()).why!, /no version, time or ticket/)
  })

  it('refuse a question without a ticket', async () => {
    serve()
    const stream = await a.open('b', REACH_PROTOCOL, never)
    await stream.send(new TextEncoder().encode('{"version":1,"ticket":"x"}'))
    await assert.rejects(stream.receive())
  })
})

describe('trying to connect', () => {
  it('says why it failed', async () => {
    const refused = await tryToConnect(systemClock, { host: '127.0.0.1', port: 1 }, 2000)
    assert.deepEqual(refused, { address: '127.0.0.1:1', why: 'ECONNREFUSED' })
    const { why } = await tryToConnect(systemClock, { host: 'nowhere.invalid', port: 1 }, 10_000)
    assert.notEqual(why, null)
  })
})

describe('what is known of a guest\'s pages', () => {
  it('is counted by host, without this one, and by a sample of many', () => {
    const columns = new PageColumns(120_000)
    for (let page = 0; page < 120_000; page++) columns.push(page * 30_000, 0, page)
    const view = {
      hostsOf: (high: number) => (high / 30_000 % 2 === 0 ? 2 : 0), holdersOf: () => ['self', 'b'],
    }
    const table = SortedTable.from(columns)
    assert.deepEqual(knownPages(undefined, view, 'self'), { lookedAt: 0, popular: 0, byHost: {} })
    const known = knownPages({ table }, view, 'self')
    assert.equal(known.lookedAt, 40_000)
    assert.deepEqual(known, { lookedAt: 40_000, popular: 20_000, byHost: { b: 20_000 } })
  })
})
