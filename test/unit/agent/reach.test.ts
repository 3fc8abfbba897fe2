import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type AddressInfo } from 'node:net'

import { askReach, REACH_PROTOCOL, ReachServer } from '../../../src/agent/reach.ts'
import { VERSION } from '../../../src/agent/version.ts'
import { MemoryNetwork, type Mesh } from '../../../src/mesh/index.ts'
import { systemClock, type Clock } from '../../../src/runtime/clock.ts'

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

  it('try what was announced of the host that the asker is connected from, and nothing else', async () => {
    const listener = createServer().listen(0, '127.0.0.1')
    await once(listener, 'listening')
    const { port } = listener.address() as AddressInfo
    const local = { host: '127.0.0.1', port }
    const server = new ReachServer({ mesh: b, clock: later })
    b.handle(REACH_PROTOCOL, (stream, from) => server.answer(stream, { ...from, address: '/ip4/127.0.0.1/tcp/7' }))
    b.announcedBy = () => [{ host: '127.0.0.2', port }, local, { host: '192.0.2.1', port: 22 }, { ...local, port: 1 }]
    a.announcedBy = () => [{ host: '127.0.0.1', port }]
    const { there, answer } = await askReach({ mesh: a, clock: systemClock }, a.member('b')!, never)
    assert.deepEqual(there.mesh, [], 'it is not known where b is')
    assert.deepEqual(answer!.back.mesh, [
      { address: `127.0.0.1:${port}`, why: null }, { address: '127.0.0.1:1', why: 'ECONNREFUSED' },
    ])
    const far = { ...a.member('b')!, address: '/ip4/192.0.2.1/tcp/7' }
    const alone = await askReach({ mesh: a, clock: systemClock }, far, never)
    assert.deepEqual(alone.there.mesh, [], 'a loopback address of another host is this one\'s')
    const near = { ...far, address: '/ip4/127.0.0.1/tcp/7' }
    const met = await askReach({ mesh: a, clock: systemClock }, near, never)
    assert.deepEqual(met.there.mesh, [{ address: `127.0.0.1:${port}`, why: null }])
    listener.close()
  })

  it('refuse a question without a ticket', async () => {
    serve()
    const stream = await a.open('b', REACH_PROTOCOL, never)
    await stream.send(new TextEncoder().encode('{"version":1,"ticket":"x"}'))
    await assert.rejects(stream.receive())
  })
})
