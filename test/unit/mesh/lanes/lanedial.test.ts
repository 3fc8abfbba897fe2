import assert from 'node:assert/strict'
import { getEventListeners } from 'node:events'
import { createServer, Socket } from 'node:net'
import { mock } from 'node:test'

import { until } from '../../../support/meshes.ts'
import { VirtualClock } from '../../../support/time.ts'
import { dialLane, LanePort } from './lanesockets.ts'

const TICKET = { address: '', id: '00'.repeat(16), key: '00'.repeat(32) }

/** A port that takes connections and says nothing. */
async function silentPort() {
  const sockets: Socket[] = []
  const server = createServer((socket) => {
    socket.on('error', () => {})
    socket.resume()
    sockets.push(socket)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    sockets,
    address: `127.0.0.1:${(server.address() as { port: number }).port}`,
    close: async () => {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

describe('a lane that is dialed', () => {
  it('is given up after ten seconds in which the other end said nothing', async () => {
    const port = await silentPort()
    try {
      const clock = new VirtualClock()
      const { signal } = new AbortController()
      let isOver = false
      const dialing = dialLane({ clock }, port.address, TICKET, signal).finally(() => { isOver = true })
      const failed = assert.rejects(dialing, {
        code: 'lane-unreachable', fault: 'network', phase: 'opening a lane', data: { address: port.address },
        cause: new Error('timed out'),
      })
      await clock.run(9_999)
      assert.equal(isOver, false)
      await clock.run(10_000)
      await failed
      assert.deepEqual([clock.pendingCount, getEventListeners(signal, 'abort').length], [0, 0])
    } finally {
      await port.close()
    }
  })

  it('is given up at once by its signal, whatever its reason, and its connection with it', async () => {
    const port = await silentPort()
    try {
      const clock = new VirtualClock()
      const dial = (signal: AbortSignal) => dialLane({ clock }, port.address, TICKET, signal)
      for (const reason of [new Error('enough'), 'enough']) {
        const abort = new AbortController()
        const dialing = dial(abort.signal).then(() => 'open', (error: unknown) => error)
        const count = port.sockets.length + 1
        await until(() => port.sockets.length === count, 'it is connected')
        abort.abort(reason)
        assert.equal(await dialing, reason)
        await until(() => port.sockets.at(-1)!.closed, 'the connection is closed')
        assert.equal(getEventListeners(abort.signal, 'abort').length, 0)
      }
      await assert.rejects(dial(AbortSignal.abort(new Error('before'))), /before/)
      assert.deepEqual([port.sockets.length, clock.pendingCount], [2, 0])
    } finally {
      await port.close()
    }
  })

  it('is unreachable with the reason that the network gives', async () => {
    const port = await silentPort()
    await port.close()
    await assert.rejects(
      dialLane({ clock: new VirtualClock() }, port.address, TICKET, new AbortController().signal),
      ({ code, cause }: { code: string; cause: { code: string } }) =>
        code === 'lane-unreachable' && cause.code === 'ECONNREFUSED',
    )
  })
})

describe('a lane between two sockets', () => {
  let port: LanePort

  beforeEach(async () => { port = await new LanePort().listen() })
  afterEach(() => port.server.close())

  it('outlives the signal of its opening, and leaves no timer behind', async () => {
    const abort = new AbortController()
    const { offered, dialed } = await port.open(abort.signal)
    abort.abort(new Error('enough'))
    await port.clock.run(60_000)
    assert.deepEqual([port.clock.pendingCount, getEventListeners(abort.signal, 'abort').length], [0, 0])
    assert.ok(offered.write(Buffer.from('a')) && dialed.write(Buffer.from('b')))
    assert.deepEqual(port.strangers, [])
    offered.destroy()
    dialed.destroy()
  })

  it('sends at once, and lets the kernel look for a peer that is gone', async () => {
    const calls: unknown[][] = []
    const spies = (['setNoDelay', 'setKeepAlive'] as const).map((name) =>
      mock.method(Socket.prototype, name, function (this: Socket, ...values: unknown[]) {
        calls.push([name, ...values])
        return this
      }))
    try {
      await port.open()
    } finally {
      for (const spy of spies) spy.mock.restore()
    }
    for (const name of ['setNoDelay', 'setKeepAlive']) {
      const expected = name === 'setNoDelay' ? [true] : [true, 10_000]
      const own = calls.filter(([called, ...values]) => called === name && values.length === expected.length)
      assert.deepEqual(own, [[name, ...expected], [name, ...expected]], 'once at each end')
    }
  })

  it('keeps what arrives before anybody receives, in order, and holds the sender back meanwhile', async () => {
    const { offered, dialed } = await port.open()
    const sent = Buffer.from(Uint32Array.from({ length: 512 * 1024 }, (_, index) => index).buffer)
    offered.write(sent)
    await until(() => dialed.receivedBytes > 30_000, 'a few records have arrived')
    for (let turn = 0; turn < 50; turn++) await new Promise(setImmediate)
    assert.ok(dialed.receivedBytes < sent.length / 4, `${dialed.receivedBytes} bytes were taken with nobody receiving`)
    const received: Buffer[] = []
    dialed.receive((bytes) => received.push(Buffer.from(bytes)))
    await offered.end()
    assert.ok(sent.equals(Buffer.concat(received)))
  })

  it('counts at either end what goes over the wire, during its life and after', async () => {
    const { offered, dialed } = await port.open()
    const handshake = { sent: dialed.sentBytes, received: dialed.receivedBytes }
    assert.ok(handshake.sent > 100 && handshake.received > 100, JSON.stringify(handshake))
    const bytes = Buffer.alloc(200_000, 7)
    let receivedBytes = 0
    offered.receive(({ length }) => { receivedBytes += length })
    dialed.receive(({ length }) => { receivedBytes += length })
    dialed.write(bytes)
    offered.write(bytes)
    await until(() => receivedBytes === 2 * bytes.length, 'all has arrived')
    const counts = [dialed.sentBytes, offered.receivedBytes, offered.sentBytes, dialed.receivedBytes]
    assert.deepEqual([counts[0], counts[2]], [counts[1], counts[3]])
    for (const count of counts) assert.ok(count > bytes.length && count < bytes.length * 1.02, String(count))
    await offered.end()
    await dialed.closed
    const after = [dialed.sentBytes, offered.receivedBytes, offered.sentBytes, dialed.receivedBytes]
    after.forEach((count, index) => assert.ok(count >= counts[index]! && count < counts[index]! + 100, String(after)))
  })

  it('counts what went over the wire until it was destroyed, whoever asks for it only then', async () => {
    const { offered, dialed } = await port.open()
    const bytes = Buffer.alloc(200_000, 7)
    let receivedBytes = 0
    offered.write(bytes)
    await new Promise<void>((resolve) => {
      dialed.receive(({ length }) => {
        receivedBytes += length
        if (receivedBytes === bytes.length) resolve()
      })
    })
    const { sentBytes } = offered
    dialed.destroy()
    await dialed.closed
    assert.equal(dialed.receivedBytes, sentBytes)
  })

  it('counts what it had sent when the other end closed, whoever asks for it only then', async () => {
    const { offered, dialed } = await port.open()
    const bytes = Buffer.alloc(200_000, 7)
    let receivedBytes = 0
    dialed.receive(() => {})
    dialed.write(bytes)
    await new Promise<void>((resolve) => {
      offered.receive(({ length }) => {
        receivedBytes += length
        if (receivedBytes === bytes.length) resolve()
      })
    })
    await offered.end()
    await dialed.closed
    assert.ok(dialed.sentBytes > bytes.length, 'with what TLS adds')
  })

  it('counts nothing that still waits in its queue', async () => {
    const { offered, dialed } = await port.open()
    offered.receive(() => {})
    offered.pause()
    const bytes = Buffer.alloc(16 * 1024 * 1024)
    dialed.write(bytes)
    dialed.write(bytes)
    for (let turn = 0; turn < 50; turn++) await new Promise(setImmediate)
    assert.ok(dialed.sentBytes < bytes.length * 1.02, `${dialed.sentBytes} bytes with nobody reading`)
  })
})
