import assert from 'node:assert/strict'
import { createConnection } from 'node:net'

import { UNPROVEN_BYTES_MAX } from '../../../../src/mesh/admission/arrivals.ts'
import { encodePreamble } from '../../../../src/mesh/lanes/lanepreamble.ts'
import { LaneServer } from '../../../../src/mesh/lanes/laneserver.ts'
import { components, until } from '../../../support/meshes.ts'
import { closed, dialGarbage, LanePort } from './lanesockets.ts'

const { signal } = new AbortController()

describe('the lane port', () => {
  let port: LanePort

  beforeEach(async () => { port = await new LanePort().listen() })
  afterEach(() => port.server.close())

  it('says where it listens, and what is wrong with where it shall', async () => {
    const { address } = port.server
    assert.match(address, /^127\.0\.0\.1:[1-9]\d*$/)
    const other = new LanePort().server
    await assert.rejects(other.listen(address), {
      code: 'lane-address-unusable', fault: 'usage', phase: 'start', data: { address },
    })
    await assert.rejects(other.listen('nowhere'), { code: 'address-malformed' })
    assert.equal(other.address, '')
    await other.close()
  })

  it('drops a peer that says nothing for five seconds', async () => {
    const socket = await port.connect()
    await until(() => port.clock.pendingCount > 0, 'it is watched')
    await port.clock.run(4_999)
    assert.deepEqual(port.strangers, [])
    await port.clock.run(5_000)
    assert.deepEqual(port.strangers, ['5000 127.0.0.1: it did not prove the cluster key in time'])
    await closed(socket)
  })

  it('closes whoever says nothing, or nothing more, within the time that it is given', async () => {
    const server = new LaneServer(components, { isKnown: () => false, stranger: () => {}, handshakeTimeoutMs: 50 })
    await server.listen('127.0.0.1:0')
    try {
      const sockets = [0, 1].map(() => createConnection(Number(server.address.split(':')[1]), '127.0.0.1'))
      // The head of a TLS record that announces more than follows.
      sockets[1]!.write(Buffer.from([22, 3, 1, 1, 0]))
      await Promise.all(sockets.map(closed))
    } finally {
      await server.close()
    }
  })

  it('drops a peer that sends garbage, or more than a proof takes, at once', async () => {
    await dialGarbage(port.server.address)
    assert.equal(port.strangers.length, 1)
    assert.match(port.strangers[0]!, /^0 127\.0\.0\.1: it showed no ticket of this host/)
    const socket = await port.connect()
    socket.write(Buffer.alloc(UNPROVEN_BYTES_MAX + 1, 0x5a))
    await closed(socket)
    assert.deepEqual(port.strangers.slice(1), ['0 127.0.0.1: it sent too much before it proved the cluster key'])
  })

  it('takes a ticket that comes byte by byte, but not for longer than five seconds', async () => {
    const { ticket, lane } = port.server.offer(signal)
    const preamble = encodePreamble('lane', ticket.id)
    const [whole, slow] = [await port.connect(), await port.connect()]
    for (const byte of preamble) {
      whole.write(Buffer.of(byte))
      await new Promise(setImmediate)
    }
    slow.write(preamble.subarray(0, -1))
    await lane
    await port.clock.run(5_000)
    assert.deepEqual(port.strangers, Array(2).fill('5000 127.0.0.1: it did not prove the cluster key in time'))
    await Promise.all([whole, slow].map(closed))
  })

  it('takes a peer that it gives up itself for no stranger, and closes its connection', async () => {
    for (const reason of [new Error('enough'), 'enough']) {
      const abort = new AbortController()
      const { ticket, lane } = port.server.offer(signal)
      const socket = await port.connect()
      socket.write(encodePreamble('lane', ticket.id))
      const securing = (await lane).secure(abort.signal)
      abort.abort(reason)
      await assert.rejects(securing, (error) => error === reason)
      await closed(socket)
    }
    assert.deepEqual(port.strangers, [])
  })

  it('takes whoever shows a ticket a second time for a stranger, before any TLS', async () => {
    const { ticket } = port.server.offer(signal)
    const first = await port.connect()
    first.write(encodePreamble('lane', ticket.id))
    await until(() => port.server.offer(signal) !== undefined, 'it is there')
    const second = await port.connect()
    second.write(encodePreamble('lane', ticket.id))
    await closed(second)
    assert.deepEqual(port.strangers, ['0 127.0.0.1: it showed no ticket of this host'])
    first.destroy()
  })

  it('takes a peer that hangs up for no stranger, whenever that is', async () => {
    const ended = await port.connect()
    ended.end()
    await closed(ended)
    const silent = await port.connect()
    await until(() => port.clock.pendingCount > 0, 'it is watched')
    silent.resetAndDestroy()
    const speaking = await port.connect()
    speaking.write(Buffer.from([22, 3, 1, 1, 0]))
    await new Promise(setImmediate)
    speaking.resetAndDestroy()
    await Promise.all([silent, speaking].map(closed))
    // Whoever comes last is closed last: by then the port has seen what became of the others.
    await dialGarbage(port.server.address)
    await port.clock.run(60_000)
    assert.equal(port.strangers.length, 1)
  })

  it('fails the lane whose ticket was shown with another key, at both ends', async () => {
    const { ticket, lane } = port.offer()
    const offered = assert.rejects(lane, { code: 'lane-unreachable', data: { address: '127.0.0.1' } })
    await assert.rejects(port.dial({ ...ticket, key: '00'.repeat(32) }), { code: 'lane-unreachable' })
    await offered
    assert.equal(port.strangers.length, 1)
  })

  it('knows no ticket that it did not give out', async () => {
    const { ticket } = port.server.offer(signal)
    await assert.rejects(port.dial({ ...ticket, id: 'ff'.repeat(16) }), { code: 'lane-unreachable' })
    await until(() => port.strangers.length === 1, 'it is counted')
  })

  it('gives no ticket out while as many lanes are open as there may be', async () => {
    const limited = await new LanePort({ lanesMax: 3 }).listen()
    try {
      const lanes = [await limited.open(), await limited.open(), await limited.open()]
      assert.throws(() => limited.server.offer(signal), {
        code: 'lanes-exhausted', fault: 'host', message: '3 bulk lanes are open already.',
      })
      lanes[0]!.offered.destroy()
      await lanes[0]!.offered.closed
      await limited.open()
      assert.throws(() => limited.server.offer(signal), { code: 'lanes-exhausted' })
    } finally {
      await limited.server.close()
    }
  })

  it('closes with all that is connected to it and all tickets, and takes nobody after', async () => {
    const idle = await port.connect()
    const { dialed } = await port.open()
    dialed.receive(() => {})
    const withdrawn = assert.rejects(port.server.offer(signal).lane, { code: 'mesh-stopped' })
    await port.server.close()
    await Promise.all([withdrawn, closed(idle), dialed.closed])
    assert.equal(port.clock.pendingCount, 0)
    await assert.rejects(port.connect(), { code: 'ECONNREFUSED' })
    await port.server.close()
    await new LanePort().server.close()
  })
})
