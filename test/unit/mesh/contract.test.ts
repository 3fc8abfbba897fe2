import assert from 'node:assert/strict'

import {
  GOSSIP_BYTES_MAX, MESSAGE_BYTES_MAX, type Lane, type Mesh, type MessageStream,
} from '../../../src/mesh/index.ts'
import { clusterKinds, until, type Cluster } from '../../support/meshes.ts'

const signal = (): AbortSignal => AbortSignal.timeout(10_000)

async function openLane(from: Mesh, to: Mesh): Promise<{ sender: Lane; receiver: Lane }> {
  const { ticket, lane } = from.offerLane(signal())
  const receiver = await to.dialLane(to.member(from.self.name)!, ticket, signal())
  return { sender: await lane, receiver }
}

for (const { kind, create } of clusterKinds) {
  describe(`a ${kind} mesh`, () => {
    let cluster: Cluster
    let a: Mesh
    let b: Mesh

    beforeEach(async () => {
      cluster = await create(['a', 'b'])
      ;[a, b] = cluster.meshes as [Mesh, Mesh]
    })
    afterEach(() => cluster.stop())

    it('knows its members by name', async () => {
      assert.deepEqual(a.members().map(({ name }) => name), ['b'])
      assert.equal(a.member('b')?.peerId, b.self.peerId)
      assert.equal(a.member('nobody'), undefined)
      const left: string[] = []
      a.onMember((change, { name }) => left.push(`${change} ${name}`))
      await b.stop()
      await until(() => a.members().length === 0, 'b has left')
      assert.deepEqual(left, ['left b'])
    })

    it('refuses a second host of a name', async () => {
      await assert.rejects(() => create(['x', 'y', 'x']), { code: 'name-taken', fault: 'usage' })
    })

    it('echoes messages of all sizes over a stream', async () => {
      b.handle('/test/echo/1', echo)
      const stream = await a.open('b', '/test/echo/1', signal())
      for (const length of [0, 1, 1000, MESSAGE_BYTES_MAX]) {
        const message = new Uint8Array(length).fill(length % 251)
        await stream.send(message)
        assert.deepEqual(new Uint8Array(await stream.receive(signal())), message)
      }
      await stream.close()
      await assert.rejects(() => stream.receive(), { code: 'stream-ended' })
    })

    it('refuses to send a message that is too long', async () => {
      b.handle('/test/echo/1', echo)
      const stream = await a.open('b', '/test/echo/1', signal())
      await assert.rejects(() => stream.send(new Uint8Array(MESSAGE_BYTES_MAX + 1)), { code: 'message-too-long' })
      const news = new Uint8Array(GOSSIP_BYTES_MAX + 1)
      await assert.rejects(() => a.publish('/test/1', news), { code: 'message-too-long' })
      await stream.close()
    })

    it('tells who opened a stream, and ends it when the handler is done', async () => {
      b.handle('/test/name/1', async (stream, from) => { await stream.send(Buffer.from(from.name)) })
      const stream = await a.open('b', '/test/name/1', signal())
      assert.equal(Buffer.from(await stream.receive(signal())).toString(), 'a')
      await assert.rejects(() => stream.receive(signal()), { code: 'stream-ended' })
      await stream.close()
    })

    it('breaks the stream when the handler fails', async () => {
      b.handle('/test/fail/1', async (stream) => {
        await stream.receive()
        throw new Error('no')
      })
      const stream = await a.open('b', '/test/fail/1', signal())
      await stream.send(new Uint8Array(1))
      await assert.rejects(() => stream.receive(signal()), { code: 'stream-broken' })
    })

    it('breaks its streams when the other host stops', async () => {
      b.handle('/test/wait/1', async (stream) => { await stream.receive() })
      const stream = await a.open('b', '/test/wait/1', signal())
      const received = assert.rejects(() => stream.receive(signal()), { code: /^stream-/ })
      await b.stop()
      await received
    })

    it('serves a protocol until it is withdrawn', async () => {
      const withdraw = b.handle('/test/echo/1', echo)
      await (await a.open('b', '/test/echo/1', signal())).close()
      withdraw()
      await assert.rejects(a.open('b', '/test/echo/1', signal()), { code: 'host-unreachable' })
    })

    it('cannot open a stream to nobody, or for what nobody serves', async () => {
      await assert.rejects(() => a.open('nobody', '/test/echo/1', signal()), { code: 'host-unknown' })
      await assert.rejects(() => a.open('b', '/test/none/1', signal()), { code: 'host-unreachable' })
    })

    it('holds the sender of messages back until they are received, and then loses none', async () => {
      const gate = Promise.withResolvers<void>()
      const received: number[] = []
      b.handle('/test/slow/1', async (stream) => {
        await gate.promise
        for (;;) received.push((await stream.receive())[0]!)
      })
      const stream = await a.open('b', '/test/slow/1', signal())
      const stalled = AbortSignal.timeout(500)
      let sentCount = 0
      await assert.rejects(async () => {
        for (; sentCount < 1_000; sentCount++) {
          await stream.send(new Uint8Array(MESSAGE_BYTES_MAX).fill(sentCount), stalled)
        }
      }, { name: 'TimeoutError' })
      assert.ok(sentCount < 100, `${sentCount} messages of 64 KiB were taken with nobody reading`)
      gate.resolve()
      await until(() => received.length === sentCount + 1, 'everything that was sent arrives')
      assert.deepEqual(received, Array.from({ length: sentCount + 1 }, (_, i) => i % 256))
      await stream.close()
    })

    it('gossips to who follows the topic', async () => {
      const heard: string[] = []
      const stop = b.subscribe('/test/topic/1', (message, from) => {
        heard.push(`${Buffer.from(message).toString()} ${from}`)
      })
      a.subscribe('/test/topic/1', () => {})
      let count = 0
      await until(() => {
        // A lost message is not repeated, and the first may go before the other's subscription is known.
        if (count++ % 20 === 0) void a.publish('/test/topic/1', Buffer.from(`news ${count}`))
        return heard.length > 0
      }, 'b hears of it')
      assert.ok(heard[0]!.startsWith('news') && heard[0]!.endsWith(` ${a.self.peerId}`))
      await until(() => a.traffic.gossip.sentBytes > 0 && b.traffic.gossip.receivedBytes > 0, 'the bytes are counted')
      stop()
    })

    it('carries bytes both ways over a lane and delivers all before it ends', async () => {
      const { sender, receiver } = await openLane(a, b)
      let receivedBytes = 0
      let answer = ''
      sender.receive((bytes) => { answer += Buffer.from(bytes).toString() })
      receiver.write(Buffer.from('hello'))
      const piece = Buffer.alloc(1024 * 1024, 7)
      const early = 3
      for (let i = 0; i < 64; i++) {
        sender.cork()
        for (let offset = 0; offset < piece.length; offset += 4096) sender.write(piece.subarray(offset, offset + 4096))
        sender.uncork()
        // The receiver begins late: what came before is held, not lost.
        if (i === early) receiver.receive((bytes) => { receivedBytes += bytes.length })
        if (i >= early) await sender.drained(signal())
      }
      await until(() => answer === 'hello', 'the other way works as well')
      await sender.end()
      assert.equal(receivedBytes, 64 * 1024 * 1024)
      assert.equal(await receiver.closed, undefined)
      assert.equal(await sender.closed, undefined)
      assert.ok(receiver.receivedBytes >= receivedBytes && receiver.receivedBytes < receivedBytes * 1.01)
      assert.ok(sender.sentBytes >= receivedBytes && sender.sentBytes < receivedBytes * 1.01)
    })

    it('feels a lane\'s paused reader, and goes on when it resumes', async () => {
      const { sender, receiver } = await openLane(a, b)
      let receivedBytes = 0
      receiver.receive((bytes) => { receivedBytes += bytes.length })
      receiver.pause()
      const piece = Buffer.alloc(1024 * 1024)
      const residentBefore = process.memoryUsage().rss
      const stalled = AbortSignal.timeout(1_000)
      let sentBytes = 0
      await assert.rejects(async () => {
        while (sentBytes < 500 * piece.length) {
          const hasRoom = sender.write(piece)
          sentBytes += piece.length
          if (!hasRoom) await sender.drained(stalled)
        }
      }, { name: 'TimeoutError' })
      assert.ok(sentBytes < 64 * 1024 * 1024, `${sentBytes} bytes were taken with nobody reading`)
      assert.ok(process.memoryUsage().rss - residentBefore < 64 * 1024 * 1024, 'memory stays bounded')
      receiver.resume()
      await sender.end()
      assert.equal(receivedBytes, sentBytes)
    })

    it('redeems a lane\'s ticket once, and only with its key', async () => {
      const { ticket, lane } = a.offerLane(signal())
      const member = b.member('a')!
      const first = await b.dialLane(member, ticket, signal())
      await assert.rejects(() => b.dialLane(member, ticket, signal()), {
        code: 'lane-unreachable', fault: 'network', phase: 'opening a lane',
      })
      ;(await lane).destroy()
      first.destroy()
      const other = a.offerLane(signal())
      for (const wrong of [{ ...other.ticket, key: ticket.key }, { ...ticket, id: 'ff'.repeat(16) }]) {
        await assert.rejects(() => b.dialLane(member, wrong, signal()), { code: 'lane-unreachable' })
      }
    })

    it('tells both ends of a lane when one is destroyed', async () => {
      const { sender, receiver } = await openLane(a, b)
      sender.receive(() => {})
      receiver.receive(() => {})
      receiver.destroy()
      await Promise.all([sender.closed, receiver.closed])
      await assert.rejects(() => sender.drained(), { code: 'lane-closed' })
      assert.equal(sender.write(new Uint8Array(1)), false)
    })

    it('closes its lanes and withdraws its tickets when it stops', async () => {
      const { sender, receiver } = await openLane(a, b)
      receiver.receive(() => {})
      sender.receive(() => {})
      const { lane } = a.offerLane(signal())
      await a.stop()
      await Promise.all([sender.closed, receiver.closed])
      await assert.rejects(() => lane, { code: 'mesh-stopped' })
    })
  })
}

async function echo(stream: MessageStream): Promise<void> {
  for (;;) await stream.send(await stream.receive())
}
