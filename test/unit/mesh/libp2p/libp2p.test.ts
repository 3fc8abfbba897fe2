import assert from 'node:assert/strict'
import { mkdtemp, rm, stat } from 'node:fs/promises'
import { createConnection, createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { gossipsub } from '@chainsafe/libp2p-gossipsub'
import { noise } from '@chainsafe/libp2p-noise'
import { identify } from '@libp2p/identify'
import { ping } from '@libp2p/ping'
import { tcp } from '@libp2p/tcp'
import { yamux } from '@libp2p/yamux'
import { multiaddr } from '@multiformats/multiaddr'
import { createLibp2p } from 'libp2p'

import { addressOf } from '../../../../src/agent/peeraddress.ts'
import { createLibp2pMesh, NamePins, type Mesh } from '../../../../src/mesh/index.ts'
import { createLog } from '../../../../src/runtime/log.ts'
import { components, freePort, KEYS, libp2pMesh, OTHER_KEYS, until } from '../../../support/meshes.ts'

describe('a mesh over libp2p', () => {
  const running: Mesh[] = []
  const started = async (mesh: Mesh): Promise<Mesh> => {
    running.push(mesh)
    await mesh.start()
    return mesh
  }
  afterEach(async () => {
    await Promise.all(running.splice(0).map((mesh) => mesh.stop()))
  })

  it('drops and counts a stranger with another key, on both sides', async () => {
    const a = await started(libp2pMesh('a'))
    const stranger = await started(libp2pMesh('b', { keys: OTHER_KEYS, bootstrap: [a.self.address] }))
    await until(() => a.strangerCount > 0 && stranger.strangerCount > 0, 'both count it')
    assert.deepEqual([...a.members(), ...stranger.members()], [])
    await assert.rejects(() => stranger.open('a', '/test/1', AbortSignal.timeout(1_000)), { code: 'host-unknown' })
  })

  it('tells where a member that dialed can be reached, not where its connection comes from', async () => {
    const a = await started(libp2pMesh('a'))
    const b = await started(libp2pMesh('b', { bootstrap: [a.self.address] }))
    await until(() => a.member('b') !== undefined, 'they are connected')
    assert.notEqual(a.member('b')!.address, b.self.address)
    await until(() => addressOf(a, a.member('b')!) === b.self.address, 'it has announced itself')
  })

  it('serves a plain libp2p node nothing: no identify, no ping, no gossip', async () => {
    const a = await started(libp2pMesh('a'))
    let served = 0
    a.handle('/test/1', async () => { served += 1 })
    const node = await createLibp2p({
      addresses: { listen: [] }, transports: [tcp()], connectionEncrypters: [noise()], streamMuxers: [yamux()],
      services: { identify: identify(), ping: ping(), gossip: gossipsub() },
    })
    const identified: unknown[] = []
    node.addEventListener('peer:identify', (event) => identified.push(event))
    try {
      // The plain node thinks the handshake done after noise; whatever it then asks for is never answered.
      const signal = AbortSignal.timeout(2_000)
      await assert.rejects(async () => node.services.ping.ping(multiaddr(a.self.address), { signal }))
      await assert.rejects(() => node.dialProtocol(multiaddr(a.self.address), '/test/1', { signal }))
      await until(() => a.strangerCount >= 1, 'it is counted')
      assert.equal(served, 0)
      assert.equal(identified.length, 0)
      assert.deepEqual(a.members(), [])
      await until(() => node.getConnections().length === 0, 'it is dropped')
    } finally {
      await node.stop()
    }
  })

  it('drops a peer that shakes hands and then says nothing', async () => {
    const a = await started(libp2pMesh('a'))
    const node = await createLibp2p({
      addresses: { listen: [] }, transports: [tcp()], connectionEncrypters: [noise()],
      streamMuxers: [yamux({ enableKeepAlive: false })], connectionMonitor: { enabled: false },
    })
    try {
      await node.dial(multiaddr(a.self.address))
      await until(() => a.strangerCount === 1, 'it is counted', 8_000)
      await until(() => node.getConnections().length === 0, 'it is dropped')
    } finally {
      await node.stop()
    }
  }).timeout(15_000)

  it('is not held up by a peer that connects and sends garbage, or nothing', async () => {
    const a = await started(libp2pMesh('a'))
    const port = Number(a.self.address.split('/')[4])
    const sockets = [createConnection(port, '127.0.0.1'), createConnection(port, '127.0.0.1')]
    for (const socket of sockets) socket.on('error', () => {})
    sockets[0]!.write(Buffer.alloc(10_000, 0xa5))
    const b = await started(libp2pMesh('b', { bootstrap: [a.self.address] }))
    assert.equal(b.members().length, 1)
    // 10 kB are more than any proof takes. Who says nothing has its time, and who hangs up is no stranger.
    await until(() => sockets[0]!.closed, 'garbage is dropped')
    sockets[1]!.destroy()
    await until(() => sockets[1]!.closed, 'the other hung up')
    assert.equal(a.strangerCount, 1)
  })

  it('names the holder to the second host of a name, whose start fails and leaves nothing open', async () => {
    const a = await started(libp2pMesh('a'))
    const b = await started(libp2pMesh('b', { bootstrap: [a.self.address] }))
    const second = libp2pMesh('b', { bootstrap: [a.self.address] })
    await assert.rejects(() => second.start(), {
      code: 'name-taken', fault: 'usage', data: { name: 'b', holderPeerId: b.self.peerId },
    })
    assert.deepEqual(a.members().map(({ peerId }) => peerId), [b.self.peerId])
    assert.throws(() => second.offerLane(AbortSignal.timeout(1)), { code: 'mesh-stopped' })
    const sameAsBootstrap = libp2pMesh('a', { bootstrap: [a.self.address] })
    await assert.rejects(() => sameAsBootstrap.start(), {
      code: 'name-taken', data: { name: 'a', holderPeerId: a.self.peerId },
    })
  })

  it('gives the name of a host that is down to no other identity, until an operator accepts it', async () => {
    const pins = new NamePins(components)
    const a = await started(libp2pMesh('a', { pins }))
    const bootstrap = [a.self.address]
    const b = await started(libp2pMesh('b', { bootstrap }))
    const { peerId } = b.self
    await b.stop()
    await until(() => a.members().length === 0, 'a sees it leave')
    const thief = libp2pMesh('b', { bootstrap })
    await assert.rejects(() => thief.start(), { code: 'name-taken', data: { name: 'b', holderPeerId: peerId } })
    assert.deepEqual([a.members(), pins.holderOf('b')], [[], peerId])
    const [claim] = pins.claims()
    assert.equal(pins.claimCount, claim?.count)
    const folder = await mkdtemp(join(tmpdir(), 'mesh-'))
    try {
      const renewed = libp2pMesh('b', { bootstrap, identityPath: join(folder, 'identity') })
      await assert.rejects(() => renewed.start(), { code: 'name-taken' })
      const [, other] = pins.claims()
      pins.accept('b', other!.peerId)
      await started(renewed)
      assert.deepEqual(a.members().map((member) => member.peerId), [other!.peerId])
    } finally {
      await rm(folder, { recursive: true })
    }
  })

  it('dials no lane that leads elsewhere than to the member whose ticket it is', async () => {
    const a = await started(libp2pMesh('a'))
    const b = await started(libp2pMesh('b', { bootstrap: [a.self.address] }))
    const signal = AbortSignal.timeout(5_000)
    const { ticket, lane } = a.offerLane(signal)
    // An address for documents, where nobody is: dialing it would end with another error, or never.
    await assert.rejects(() => b.dialLane(b.member('a')!, { ...ticket, address: '192.0.2.7:9' }, signal),
      { code: 'lane-foreign', fault: 'peer' })
    const receiver = await b.dialLane(b.member('a')!, ticket, signal)
    ;(await lane).destroy()
    receiver.destroy()
  })

  it('passes over its own address among the bootstrap peers', async () => {
    const port = await freePort()
    const own = `/ip4/127.0.0.1/tcp/${port}`
    const a = await started(libp2pMesh('a', { listen: [own], lane: '127.0.0.1:0', bootstrap: [own] }))
    assert.equal(a.strangerCount, 0)
    assert.deepEqual(a.members(), [])
  })

  it('lets members find each other through one bootstrap peer', async () => {
    const first = await started(libp2pMesh('first'))
    const bootstrap = [first.self.address]
    const [b, c] = [await started(libp2pMesh('b', { bootstrap })), await started(libp2pMesh('c', { bootstrap }))]
    await until(() => b.member('c') !== undefined && c.member('b') !== undefined, 'b and c know each other')
  }).timeout(15_000)

  it('finds a restarted peer again within 10 s, under the identity it keeps', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'mesh-'))
    try {
      const init = {
        listen: [`/ip4/127.0.0.1/tcp/${await freePort()}`], lane: '127.0.0.1:0',
        identityPath: join(folder, 'deep', 'identity'),
      }
      const before = await started(libp2pMesh('a', init))
      const { peerId, address } = before.self
      const b = await started(libp2pMesh('b', { bootstrap: [address.replace(/\/p2p\/.*/, '')] }))
      assert.equal(b.member('a')?.peerId, peerId)
      await before.stop()
      await until(() => b.member('a') === undefined, 'b sees it leave')
      const after = await started(libp2pMesh('a', init))
      await until(() => b.member('a') !== undefined && after.member('b') !== undefined, 'they meet again')
      assert.equal(after.self.peerId, peerId)
      assert.equal((await stat(init.identityPath)).mode & 0o777, 0o600)
    } finally {
      await rm(folder, { recursive: true })
    }
  }).timeout(15_000)

  it('can be started again after it was stopped, and starts and stops any number of times', async () => {
    const a = await started(libp2pMesh('a'))
    let heard = 0
    a.subscribe('/test/1', () => { heard += 1 })
    a.handle('/test/1', async (stream) => { await stream.send(new Uint8Array(3)) })
    await a.start()
    await a.stop()
    await a.stop()
    await a.start()
    const b = await started(libp2pMesh('b', { bootstrap: [a.self.address] }))
    const stream = await b.open('a', '/test/1', AbortSignal.timeout(5_000))
    assert.equal((await stream.receive()).length, 3)
    await stream.close()
    await until(() => { void b.publish('/test/1', new Uint8Array(1)); return heard > 0 }, 'a still follows the topic')
  })

  it('drops a peer that vanished without a word within 15 s', async () => {
    const a = await started(libp2pMesh('a'))
    const link = await cuttableLink(Number(a.self.address.split('/')[4]))
    try {
      const b = await started(libp2pMesh('b', { bootstrap: [`/ip4/127.0.0.1/tcp/${link.port}`] }))
      assert.equal(b.members().length, 1)
      const cutAt = performance.now()
      link.cut()
      await until(() => a.members().length === 0 && b.members().length === 0, 'both notice', 16_000)
      assert.ok(performance.now() - cutAt < 15_000)
    } finally {
      await link.close()
    }
  }).timeout(25_000)

  it('says what is wrong with its addresses and its name', async () => {
    const a = await started(libp2pMesh('a'))
    const taken = a.self.address.replace(/\/p2p\/.*/, '')
    const onTaken = libp2pMesh('b', { listen: [taken], lane: '127.0.0.1:0' })
    await assert.rejects(() => onTaken.start(), { code: 'listen-failed' })
    const lane = a.offerLane(AbortSignal.timeout(100)).ticket.address
    await assert.rejects(() => libp2pMesh('b', { lane }).start(), { code: 'lane-address-unusable' })
    assert.throws(() => libp2pMesh('no name'), { code: 'host-name-invalid' })
  })

  it('fills in the address of a host that listens everywhere', async () => {
    const a = await started(libp2pMesh('a', { listen: ['/ip4/0.0.0.0/tcp/0'] }))
    const port = a.self.address.split('/')[4]
    const b = await started(libp2pMesh('b', { bootstrap: [`/ip4/127.0.0.1/tcp/${port}`] }))
    const signal = AbortSignal.timeout(5_000)
    const { ticket, lane } = a.offerLane(signal)
    assert.match(ticket.address, /^0\.0\.0\.0:/)
    const receiver = await b.dialLane(b.member('a')!, ticket, signal)
    ;(await lane).destroy()
    receiver.destroy()
  })

  it('starts without its bootstrap peers', async () => {
    const a = await started(createLibp2pMesh({ ...components, log: createLog('silent') }, {
      name: 'a', keys: KEYS, listen: ['/ip4/127.0.0.1/tcp/0'], bootstrap: [`/ip4/127.0.0.1/tcp/${await freePort()}`],
    }))
    assert.deepEqual(a.members(), [])
  })
})

/** A TCP link to `port` that can be cut as a cable is: bytes vanish, nobody is told. */
async function cuttableLink(port: number): Promise<{ port: number; cut: () => void; close: () => Promise<void> }> {
  const sockets: Socket[] = []
  let isCut = false
  const server = createServer((near) => {
    const far = createConnection(port, '127.0.0.1')
    sockets.push(near, far)
    for (const [from, to] of [[near, far], [far, near]] as const) {
      from.on('error', () => {})
      from.on('data', (bytes) => { if (!isCut) to.write(bytes) })
      from.on('close', () => { if (!isCut) to.destroy() })
    }
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    port: (server.address() as { port: number }).port,
    cut: () => { isCut = true },
    close: async () => {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
