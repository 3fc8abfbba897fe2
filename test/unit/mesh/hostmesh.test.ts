import assert from 'node:assert/strict'

import { RefusedError } from '../../../src/mesh/admission/proof.ts'
import { Invitations, joinCluster, KeyRing, NamePins } from '../../../src/mesh/index.ts'
import { MEMBERS_TOPIC } from '../../../src/mesh/members/announcer.ts'
import { systemClock } from '../../../src/runtime/clock.ts'
import { silentLog } from '../../../src/runtime/log.ts'
import { systemRandom } from '../../../src/runtime/random.ts'
import { until } from '../../support/meshes.ts'
import { VirtualClock } from '../../support/time.ts'
import { HostMeshes, untilAborted } from './fakenetwork.ts'
import { dialGarbage } from './lanes/lanesockets.ts'

const { signal } = new AbortController()
const BOOTSTRAP = '/ip4/10.0.0.9/tcp/4001'
const hosts = new HostMeshes()
const pinsOf = (): NamePins => new NamePins({ clock: new VirtualClock(), log: silentLog })

afterEach(() => hosts.stop())

describe('a host\'s start in the mesh', () => {
  it('tells who it is once it has started, and gives its address up when it stops', async () => {
    const { mesh, network } = hosts.make()
    assert.deepEqual(mesh.self, { name: 'a', peerId: '', address: '' })
    await mesh.start()
    assert.deepEqual(mesh.self, { name: 'a', peerId: 'peerA', address: '/ip4/127.0.0.1/tcp/4001' })
    Object.assign(network, { gossipSentBytes: 5, gossipReceivedBytes: 7 })
    assert.deepEqual(mesh.traffic, { gossip: { sentBytes: 5, receivedBytes: 7 } })
    await mesh.stop()
    assert.equal(mesh.self.address, '')
  })

  it('is refused to a host whose name is none', () => {
    assert.throws(() => hosts.make({ name: 'no name' }), { code: 'host-name-invalid', data: { name: 'no name' } })
  })

  it('happens once, however often it is asked for, and again after a stop', async () => {
    const { mesh, network } = hosts.make()
    await Promise.all([mesh.start(), mesh.start()])
    await mesh.start()
    assert.deepEqual(network.taken('st'), ['start'])
    await Promise.all([mesh.stop(), mesh.start()])
    assert.deepEqual(network.taken('st'), ['stop', 'start'])
  })

  it('waits for a stop, and a stop for it', async () => {
    const { mesh, network } = hosts.make()
    const starting = mesh.start()
    await mesh.stop()
    await starting
    assert.deepEqual(network.taken('st'), ['start', 'stop'])
    assert.throws(() => mesh.offerLane(signal), { code: 'mesh-stopped' })
  })

  it('is over once the network serves what is to be served, and a stop once the network has stopped', async () => {
    const { clock, mesh, network } = hosts.make()
    const [served, stopped] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
    const ended: string[] = []
    mesh.handle('/p/1', async () => {})
    const called = Promise.withResolvers<void>()
    network.onHandle = () => {
      called.resolve()
      return served.promise
    }
    network.onStop = () => stopped.promise
    const starting = mesh.start().then(() => { ended.push('started') })
    await called.promise
    await clock.run(1)
    assert.equal(ended.length, 0)
    served.resolve()
    await starting
    const stopping = mesh.stop().then(() => { ended.push('stopped') })
    await clock.run(2)
    assert.deepEqual(ended, ['started'])
    stopped.resolve()
    await stopping
  })

  it('leaves nothing open when it fails, and may be tried again', async () => {
    const { clock, mesh, network } = hosts.make()
    network.startError = new Error('the port is taken')
    await assert.rejects(mesh.start(), network.startError)
    assert.deepEqual(network.taken(), ['start', 'stop'])
    assert.equal(clock.pendingCount, 0)
    assert.throws(() => mesh.offerLane(signal), { code: 'mesh-stopped' })
    network.startError = undefined
    await mesh.start()
    mesh.offerLane(signal)
  })

  it('waits for the first attempt at its bootstrap peers, for five seconds at most', async () => {
    const { clock, mesh, network } = hosts.make({ bootstrap: [BOOTSTRAP] })
    const dialed = Promise.withResolvers<void>()
    network.onDial = (_address, within) => {
      dialed.resolve()
      return untilAborted(within)
    }
    let isStarted = false
    const starting = mesh.start().finally(() => { isStarted = true })
    await dialed.promise
    await clock.run(4_999)
    assert.equal(isStarted, false)
    await clock.run(5_000)
    await starting
    assert.deepEqual(network.taken('dial'), [`dial ${BOOTSTRAP}`])
  })

  it('does not wait for peers that it could not reach', async () => {
    const { clock, network, mesh } = await hosts.start({ bootstrap: [BOOTSTRAP] })
    assert.equal(clock.now(), 0)
    await clock.run(125)
    assert.equal(network.taken('dial').length, 2, 'it goes on trying')
    await mesh.stop()
    await clock.run(60_000)
    assert.deepEqual(network.taken('dial'), [])
  })

  it('fails when a bootstrap peer knows another host of its name, until that one is gone', async () => {
    const { logged, mesh, network } = hosts.make({ bootstrap: [BOOTSTRAP] })
    const refusal = new RefusedError('peer', { code: 'name-taken', holderName: 'a', holderPeerId: 'peerX' })
    network.onDial = async () => {
      network.listener.refused(refusal)
      throw refusal
    }
    await assert.rejects(mesh.start(), { code: 'name-taken', data: { name: 'a', holderPeerId: 'peerX' } })
    assert.deepEqual(logged, ['error: this host was refused: its name is taken'])
    assert.equal(network.calls.at(-1), 'stop')
    network.onDial = async () => { throw new Error('nobody there') }
    await mesh.start()
  })

  it('fails for no host that it refuses itself, of which the log hears where nothing is pinned', async () => {
    const refusal = new RefusedError('self', { code: 'name-taken', holderName: 'b', holderPeerId: 'peerX' })
    for (const [pins, expected] of [
      [undefined, ['warn: a host was refused: its name is taken']], [pinsOf(), []],
    ] as const) {
      const { logged, mesh, network } = hosts.make({ bootstrap: [BOOTSTRAP], ...(pins === undefined ? {} : { pins }) })
      network.onDial = async () => {
        network.listener.refused(refusal)
        throw refusal
      }
      await mesh.start()
      assert.deepEqual(logged, expected)
    }
  })
})

describe('the members of a host\'s mesh', () => {
  it('are those who are connected, and those who listen hear of each', async () => {
    const { mesh, network } = await hosts.start()
    const changes: string[] = []
    const stop = mesh.onMember((change, { name }) => changes.push(`${change} ${name}`))
    network.join('b', 'peerB', '/ip4/10.0.0.2/tcp/5')
    const b = { name: 'b', peerId: 'peerB', address: '/ip4/10.0.0.2/tcp/5' }
    assert.deepEqual([mesh.members(), mesh.member('b'), mesh.member('c')], [[b], b, undefined])
    for (const copy of [mesh.members()[0]!, mesh.member('b')!]) copy.name = 'changed'
    assert.deepEqual(mesh.members(), [b])
    network.listener.disconnected('peerB')
    assert.deepEqual(mesh.members(), [])
    network.join('c', 'peerC')
    await mesh.stop()
    assert.deepEqual(changes, ['joined b', 'left b', 'joined c', 'left c'])
    stop()
  })

  it('are greeted soon with what this host says of itself', async () => {
    const { clock, mesh, network } = await hosts.start()
    assert.ok(network.taken('subscribe').includes(`subscribe ${MEMBERS_TOPIC}`))
    network.join('b', 'peerB')
    await clock.run(1_000)
    assert.deepEqual(network.published.map(({ topic }) => topic), [MEMBERS_TOPIC])
    await mesh.stop()
    await clock.run(60_000)
    assert.equal(network.published.length, 1)
  })

  it('that leave are dialed again at once', async () => {
    const { clock, network, mesh } = hosts.make({ bootstrap: [BOOTSTRAP] })
    network.onDial = async () => {
      network.join('b', 'peerB')
      return 'peerB'
    }
    await mesh.start()
    await clock.run(1_000)
    assert.equal(network.taken('dial').length, 1)
    network.listener.disconnected('peerB')
    await clock.run(1_000)
    assert.equal(network.taken('dial').length, 1)
  })

  it('have a name each, as long as they are here', async () => {
    const { network } = await hosts.start()
    network.join('b', 'peerB')
    const taken = (holderName: string, holderPeerId: string) => ({ code: 'name-taken', holderName, holderPeerId })
    assert.deepEqual(network.listener.admit('b', 'peerX'), taken('b', 'peerB'))
    assert.deepEqual(network.listener.admit('a', 'peerX'), taken('a', 'peerA'))
    assert.deepEqual(network.listener.admit('b', 'peerB'), { code: 'accepted' })
    network.listener.disconnected('peerB')
    assert.deepEqual(network.listener.admit('b', 'peerX'), { code: 'accepted' })
  })

  it('have names that are pinned to them, also when they are away, and claims of others are noted', async () => {
    const pins = pinsOf()
    const { network } = await hosts.start({ pins })
    assert.equal(pins.holderOf('a'), 'peerA')
    network.join('b', 'peerB')
    network.listener.disconnected('peerB')
    assert.equal(pins.holderOf('b'), 'peerB')
    assert.deepEqual(network.listener.admit('b', 'peerB'), { code: 'accepted' })
    assert.equal(pins.claimCount, 0)
    assert.deepEqual(network.listener.admit('b', 'peerX'),
      { code: 'name-taken', holderName: 'b', holderPeerId: 'peerB' })
    assert.deepEqual(pins.claims().map(({ name, peerId }) => [name, peerId]), [['b', 'peerX']])
  })

  it('are expected where the bootstrap peers are, and where they were met', async () => {
    const { network } = await hosts.start({ bootstrap: [BOOTSTRAP] })
    const known = (): boolean[] => ['10.0.0.9', '10.0.0.2'].map((host) => network.listener.isKnown(host))
    assert.deepEqual(known(), [true, false])
    network.join('b', 'peerB', '/ip4/10.0.0.2/tcp/5')
    assert.deepEqual(known(), [true, true])
  })

  it('are told from strangers, who are counted on either port', async () => {
    const { logged, mesh, network } = await hosts.start()
    network.listener.stranger('10.0.0.3', 'no key')
    assert.deepEqual([mesh.strangerCount, logged], [1, ['warn: strangers were dropped']])
    await dialGarbage(mesh.offerLane(signal).ticket.address)
    await until(() => mesh.strangerCount === 2, 'the one at the lane port is counted')
    await mesh.stop()
    assert.equal(logged.length, 2, 'what was not said yet is said at the end')
  })

  it('that hold another key are remembered where one was expected: dialed, or known by name', async () => {
    const pins = pinsOf()
    const { mesh, network } = await hosts.start({ pins })
    network.listener.otherKey('peerB', false)
    assert.deepEqual(mesh.otherKeyHolders(), [], 'anybody can come')
    pins.trust('b', 'peerB')
    network.listener.otherKey('peerB', false)
    network.listener.otherKey('peerC', true)
    assert.deepEqual(mesh.otherKeyHolders(), ['peerB', 'peerC'])
    network.join('b', 'peerB')
    assert.deepEqual(mesh.otherKeyHolders(), ['peerC'])
    for (let number = 0; number < 100; number++) network.listener.otherKey(`peer${number}`, true)
    assert.deepEqual([mesh.otherKeyHolders().length, mesh.otherKeyHolders()[0]], [64, 'peer36'])
  })

  it('are let go when they are to prove themselves anew', async () => {
    const { mesh, network } = await hosts.start()
    network.join('b', 'peerB')
    network.taken()
    mesh.letGo('peerB')
    assert.deepEqual(network.taken('disconnect'), ['disconnect peerB'])
  })
})

describe('a host that invites', () => {
  it('lets a new one in at its lane port while it is in the mesh, but under no name that is in use', async () => {
    const clusterKey = new Uint8Array(32).fill(3)
    const invitations = new Invitations({ clock: systemClock, random: systemRandom }, {
      keys: new KeyRing({ used: clusterKey }),
    })
    const { mesh, network } = hosts.make({ invitations })
    assert.equal(invitations.address, undefined)
    await mesh.start()
    const { address = '' } = invitations
    assert.match(address, /^127\.0\.0\.1:\d+$/)
    network.listener.connected({ peerId: 'peerB', name: 'b', address: '/ip4/10.0.0.2/tcp/4001' })
    const { token } = invitations.open({ ttlMs: 60_000, uses: 1 })
    const join = (name: string) => joinCluster({ clock: systemClock }, { address, token, name, signal })
    for (const name of ['a', 'b']) await assert.rejects(join(name), { code: 'name-taken' })
    assert.deepEqual(await join('c'), {
      clusterKey, host: 'a', meshPort: 4001, ownHost: '127.0.0.1',
    })
    assert.equal(mesh.strangerCount, 0)
    await mesh.stop()
    assert.equal(invitations.address, undefined)
  })
})
