import assert from 'node:assert/strict'

import { GOSSIP_BYTES_MAX, type MessageStream } from '../../../src/mesh/index.ts'
import { encodeAnnouncement } from '../../../src/mesh/members/announcement.ts'
import { MEMBERS_TOPIC } from '../../../src/mesh/members/announcer.ts'
import { PagemeshError } from '../../../src/runtime/errors.ts'
import { FakeNetwork, HostMeshes, untilAborted } from './fakenetwork.ts'
import { FakeChannel } from './streams/fakechannel.ts'

const { signal } = new AbortController()
const aborted = AbortSignal.abort(new Error('enough'))
const hosts = new HostMeshes()

afterEach(() => hosts.stop())

describe('the streams of a host\'s mesh', () => {
  it('are opened to members, by their identity', async () => {
    const { mesh, network } = await hosts.start()
    network.join('b', 'peerB')
    const channel = new FakeChannel()
    network.onOpenChannel = async () => channel
    network.taken()
    const stream = await mesh.open('b', '/p/1', signal)
    assert.deepEqual(network.taken(), ['open peerB /p/1'])
    await stream.send(Uint8Array.of(7))
    assert.deepEqual([...channel.sent[0]!], [0, 0, 0, 1, 7])
    await assert.rejects(mesh.open('c', '/p/1', signal), { code: 'host-unknown', data: { host: 'c', members: ['b'] } })
    await assert.rejects(mesh.open('b', '/p/1', aborted), /enough/)
  })

  it('are given up when they are not opened in ten seconds, or by their signal', async () => {
    const { clock, mesh, network } = await hosts.start()
    network.join('b', 'peerB')
    network.onOpenChannel = untilAborted
    const late = assert.rejects(mesh.open('b', '/p/1', signal), {
      code: 'host-unreachable', data: { host: 'b', protocol: '/p/1' }, cause: new Error('no answer in time'),
    })
    const abort = new AbortController()
    const givenUp = assert.rejects(mesh.open('b', '/p/1', abort.signal), /enough/)
    await clock.run(9_999)
    abort.abort(new Error('enough'))
    await givenUp
    await clock.run(10_000)
    await late
    network.onOpenChannel = async () => { throw new Error('no such protocol') }
    await assert.rejects(mesh.open('b', '/p/1', signal), { code: 'host-unreachable', fault: 'network' })
  })

  /** Serves a protocol with `handler`, to one stream of the member b. */
  async function answered(handler: (stream: MessageStream) => Promise<void>, peerId = 'peerB') {
    const { clock, logged, mesh, network } = await hosts.start()
    network.join('b', 'peerB')
    const names: string[] = []
    mesh.handle('/p/1', async (stream, from) => {
      names.push(from.name)
      from.name = 'changed'
      await handler(stream)
    })
    await clock.run(0)
    const channel = new FakeChannel()
    network.handlers.get('/p/1')!(channel, peerId)
    await clock.run(0)
    assert.equal(mesh.member('b')?.name, 'b', 'the handler has a copy')
    return { channel, clock, logged, names }
  }

  it('are answered by who serves the protocol, and closed when it is done', async () => {
    const { channel, names } = await answered(async (stream) => { await stream.send(Uint8Array.of(9)) })
    assert.deepEqual(names, ['b'])
    assert.equal(channel.sent.length, 1)
    assert.deepEqual(channel.calls, ['closeWrite'])
  })

  it('are closed as well when the peer has had enough', async () => {
    const { channel, clock, logged } = await answered(async (stream) => { await stream.receive() })
    assert.deepEqual(channel.calls, [])
    channel.peer.ended()
    await clock.run(1)
    assert.deepEqual([channel.calls, logged], [['closeWrite'], []])
  })

  it('break when their handler fails, whatever it throws', async () => {
    for (const thrown of [new Error('no'), 'no', new PagemeshError('not-accepted', 'no', { fault: 'host' })]) {
      const { channel, logged } = await answered(async () => { throw thrown })
      assert.deepEqual([channel.calls, logged], [['abort: no'], ['warn: a stream was given up']])
    }
  })

  it('are served to no one but members', async () => {
    const { channel, names } = await answered(async () => {}, 'peerX')
    assert.deepEqual([channel.calls, names], [['abort: the peer is no member'], []])
  })

  it('are served from each start on, until the protocol is withdrawn', async () => {
    const { clock, mesh, network } = hosts.make()
    const withdraw = mesh.handle('/early/1', async () => {})
    assert.throws(() => mesh.handle('/early/1', async () => {}), /one handler/)
    assert.deepEqual(network.taken(), [])
    await mesh.start()
    assert.deepEqual(network.taken('handle'), ['handle /early/1'])
    const stop = mesh.handle('/late/1', async () => {})
    await clock.run(0)
    assert.deepEqual([...network.handlers.keys()], ['/early/1', '/late/1'])
    stop()
    withdraw()
    assert.deepEqual(network.taken('unhandle'), ['unhandle /late/1', 'unhandle /early/1'])
    const again = mesh.handle('/early/1', async () => {})
    await clock.run(1)
    withdraw()
    assert.deepEqual([network.taken('unhandle'), [...network.handlers.keys()]], [[], ['/early/1']], 'it is another\'s')
    again()
    await mesh.stop()
    await mesh.start()
    assert.deepEqual(network.taken('handle'), [])
  })

  it('are not served by a handler that is withdrawn while the network takes it up, nor by a network that cannot',
    async () => {
      const { clock, logged, mesh, network } = await hosts.start()
      const takenUp = Promise.withResolvers<void>()
      network.onHandle = () => takenUp.promise
      mesh.handle('/p/1', async () => {})()
      takenUp.resolve()
      await clock.run(0)
      assert.deepEqual([...network.handlers.keys()], [])
      network.onHandle = async () => { throw new Error('stopped meanwhile') }
      mesh.handle('/p/1', async () => {})
      await clock.run(1)
      assert.deepEqual(logged, [])
    })
})

describe('the topics of a host\'s mesh', () => {
  it('are followed once, however many listen, as long as the mesh runs and somebody does', async () => {
    const { mesh, network } = hosts.make()
    const heard: string[] = []
    const listen = (n: number) => mesh.subscribe('/t/1', (message, from) => heard.push(`${n} ${message[0]} ${from}`))
    const stops = [listen(1), listen(2)]
    assert.deepEqual(network.taken(), [])
    await mesh.start()
    const topic = (): string[] => network.taken().filter((call) => call.endsWith(' /t/1'))
    assert.deepEqual(topic(), ['subscribe /t/1'])
    network.listener.message('/t/1', Uint8Array.of(7), 'peerB', 'peerC')
    network.listener.message('/t/2', Uint8Array.of(8), 'peerB', 'peerC')
    assert.deepEqual(heard, ['1 7 peerB', '2 7 peerB'])
    stops[0]!()
    stops[0]!()
    assert.deepEqual(topic(), [])
    stops[1]!()
    stops[1]!()
    assert.deepEqual(topic(), ['unsubscribe /t/1'])
    const again = [listen(3), listen(4)]
    assert.deepEqual(topic(), ['subscribe /t/1'])
    await mesh.stop()
    for (const stop of again) stop()
    assert.deepEqual(topic(), [])
    await mesh.start()
    assert.deepEqual(topic(), [])
  })

  it('carry what is short enough, while the mesh runs', async () => {
    const { mesh, network } = hosts.make()
    const longest = new Uint8Array(GOSSIP_BYTES_MAX)
    await assert.rejects(mesh.publish('/t/1', longest), { code: 'mesh-stopped' })
    await mesh.start()
    await mesh.publish('/t/1', longest)
    await assert.rejects(mesh.publish('/t/1', new Uint8Array(GOSSIP_BYTES_MAX + 1)), {
      code: 'message-too-long', data: { lengthBytes: GOSSIP_BYTES_MAX + 1, bytesMax: GOSSIP_BYTES_MAX },
    })
    assert.deepEqual(network.published, [{ topic: '/t/1', message: longest }])
    await mesh.stop()
    await assert.rejects(mesh.publish('/t/1', longest), { code: 'mesh-stopped' })
  })
})

describe('the lanes of a host\'s mesh', () => {
  /** Two hosts that are members of each other, and a lane that b opens to a. */
  async function pair() {
    const a = await hosts.start()
    const b = await hosts.start({ name: 'b' }, new FakeNetwork('peerB'))
    b.network.join('a', 'peerA', '/ip4/127.0.0.1/tcp/5')
    return { a: a.mesh, b: b.mesh, network: b.network, member: b.mesh.member('a')! }
  }

  it('close at both ends when the host that dialed stops', async () => {
    const { a, b, member } = await pair()
    const { ticket, lane } = a.offerLane(signal)
    const dialed = await b.dialLane(member, ticket, signal)
    const offered = await lane
    offered.receive(() => {})
    await b.stop()
    assert.equal(await dialed.closed, undefined)
    await offered.closed
  })

  it('are offered where the host was told to listen for them, or else beside the mesh', async () => {
    const listen = ['/ip4/127.0.0.3/tcp/0']
    const told = await hosts.start({ listen, lane: '127.0.0.2:0' })
    assert.match(told.mesh.offerLane(signal).ticket.address, /^127\.0\.0\.2:[1-9]/)
    const untold = await hosts.start({ listen })
    assert.match(untold.mesh.offerLane(signal).ticket.address, /^127\.0\.0\.3:[1-9]/)
  })

  it('are offered no more once the host has stopped', async () => {
    const { a, b, member } = await pair()
    const { ticket, lane } = a.offerLane(signal)
    const withdrawn = assert.rejects(lane, { code: 'mesh-stopped' })
    await a.stop()
    await withdrawn
    assert.throws(() => a.offerLane(signal), { code: 'mesh-stopped' })
    await assert.rejects(b.dialLane(member, ticket, signal), ({ cause }: { cause: { code: string } }) =>
      cause.code === 'ECONNREFUSED')
  })

  it('are none when the host stops while it dials', async () => {
    const { a, b, member } = await pair()
    const { ticket, lane } = a.offerLane(signal)
    const dialing = assert.rejects(b.dialLane(member, ticket, signal), { code: 'mesh-stopped' })
    await b.stop()
    await dialing
    // Whether the other end saw the handshake through or not, it is closed.
    await lane.then((offered) => {
      offered.receive(() => {})
      return offered.closed
    }, () => undefined)
  })

  it('lead to a member\'s own address, or to one that it announced', async () => {
    const { b, network, member } = await pair()
    const ticket = { address: '10.0.0.7:4002', id: '00', key: '00' }
    await assert.rejects(b.dialLane(member, ticket, aborted), { code: 'lane-foreign' })
    await assert.rejects(b.dialLane(member, { ...ticket, address: '10.0.0.7' }, aborted), { code: 'address-malformed' })
    const announcement = { version: 1 as const, name: 'a', peerId: 'peerA', addresses: [], lane: '10.0.0.7:4002' }
    network.listener.message(MEMBERS_TOPIC, encodeAnnouncement(announcement), 'peerA', 'peerA')
    await assert.rejects(b.dialLane(member, ticket, aborted), /enough/)
    await assert.rejects(b.dialLane({ ...member, address: '/unix/x' }, ticket, aborted), { code: 'lane-foreign' })
  })
})
