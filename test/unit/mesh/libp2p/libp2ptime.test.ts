import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { noise } from '@chainsafe/libp2p-noise'
import { tcp } from '@libp2p/tcp'
import { yamux } from '@libp2p/yamux'
import { multiaddr } from '@multiformats/multiaddr'
import { createLibp2p } from 'libp2p'

import { createLibp2pMesh, type Libp2pMeshInit, type Mesh } from '../../../../src/mesh/index.ts'
import { silentLog } from '../../../../src/runtime/log.ts'
import { systemRandom } from '../../../../src/runtime/random.ts'
import { freePort, KEYS, OTHER_KEYS, until } from '../../../support/meshes.ts'
import { VirtualClock } from '../../../support/time.ts'

describe('a mesh over libp2p on virtual time', () => {
  const stops: (() => Promise<void>)[] = []

  async function started(name: string, init: Partial<Libp2pMeshInit> = {}) {
    const clock = new VirtualClock()
    const warnings: unknown[] = []
    const log = { ...silentLog, warn: (_message: string, fields?: unknown) => { warnings.push(fields) } }
    const mesh = createLibp2pMesh({ clock, log, random: systemRandom }, {
      name, keys: KEYS, listen: ['/ip4/127.0.0.1/tcp/0'], bootstrap: [], ...init,
    })
    stops.push(() => mesh.stop())
    await mesh.start()
    return { clock, mesh, warnings }
  }

  async function pair(): Promise<{ a: Mesh; b: Mesh; clocks: VirtualClock[] }> {
    const a = await started('a')
    const b = await started('b', { bootstrap: [a.mesh.self.address] })
    await until(() => a.mesh.members().length + b.mesh.members().length === 2, 'they know each other')
    return { a: a.mesh, b: b.mesh, clocks: [a.clock, b.clock] }
  }

  afterEach(async () => { await Promise.all(stops.splice(0).map((stop) => stop())) })

  it('counts a stranger once for each attempt, at both ends, and says where it was', async () => {
    const a = await started('a')
    const b = await started('b', { keys: OTHER_KEYS, bootstrap: [a.mesh.self.address] })
    await until(() => a.mesh.strangerCount > 0 && b.mesh.strangerCount > 0, 'both count it')
    assert.deepEqual([a.mesh.strangerCount, b.mesh.strangerCount], [1, 1])
    const why = 'StrangerError: the peer holds another cluster key'
    assert.deepEqual([a.warnings, b.warnings], [
      [{ count: 1, last: { from: '127.0.0.1', reason: why } }],
      [{ count: 1, last: { from: a.mesh.self.peerId, reason: why } }],
    ])
  })

  it('leaves no timer behind when it stops', async () => {
    const { a, b, clocks } = await pair()
    const { mesh, clock } = await started('c', { keys: OTHER_KEYS, bootstrap: [a.self.address] })
    await until(() => a.strangerCount > 0 && mesh.strangerCount > 0, 'both count it')
    await Promise.all([a, b, mesh].map((other) => other.stop()))
    assert.deepEqual([...clocks, clock].map(({ pendingCount }) => pendingCount), [0, 0, 0])
  })

  it('says which addresses it cannot listen on', async () => {
    const { mesh } = await started('a')
    const taken = mesh.self.address.replace(/\/p2p\/.*/, '')
    await assert.rejects(started('b', { listen: [taken], lane: '127.0.0.1:0' }), {
      code: 'listen-failed', fault: 'usage', phase: 'start', data: { listen: [taken] },
    })
  })

  it('passes over its own address among the bootstrap peers, however it is written', async () => {
    const port = await freePort()
    const own = `/ip4/127.0.0.1/tcp/${port}`
    const folder = await mkdtemp(join(tmpdir(), 'mesh-'))
    try {
      const init = { listen: [own], lane: '127.0.0.1:0', identityPath: join(folder, 'identity') }
      const alone = await started('a', init)
      const { peerId } = alone.mesh.self
      const timers = alone.clock.pendingCount
      for (const bootstrap of [own, `${own}/p2p/${peerId}`]) {
        await alone.mesh.stop()
        const { clock, mesh } = await started('a', { ...init, bootstrap: [bootstrap] })
        await clock.run(14_000)
        assert.deepEqual([mesh.self.peerId, clock.pendingCount, mesh.strangerCount], [peerId, timers, 0], bootstrap)
        await mesh.stop()
      }
    } finally {
      await rm(folder, { recursive: true })
    }
  })

  it('says that its identity is damaged, and does not take another', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'mesh-'))
    try {
      const identityPath = join(folder, 'identity')
      await writeFile(identityPath, 'no key', { mode: 0o600 })
      await assert.rejects(started('a', { identityPath }), { code: 'identity-unusable', data: { path: identityPath } })
      assert.equal(await readFile(identityPath, 'utf8'), 'no key')
    } finally {
      await rm(folder, { recursive: true })
    }
  })

  it('takes a host that is refused for no stranger, at either end', async () => {
    const { a, b } = await pair()
    const second = createLibp2pMesh({ clock: new VirtualClock(), log: silentLog, random: systemRandom }, {
      name: 'b', keys: KEYS, listen: ['/ip4/127.0.0.1/tcp/0'], bootstrap: [a.self.address],
    })
    await assert.rejects(second.start(), { code: 'name-taken' })
    assert.deepEqual([a.strangerCount, b.strangerCount, second.strangerCount], [0, 0, 0])
  })

  it('takes a peer that hangs up between handshake and proof for no stranger', async () => {
    const { mesh, warnings } = await started('a')
    const node = await createLibp2p({
      addresses: { listen: [] }, transports: [tcp()], streamMuxers: [yamux()],
      connectionEncrypters: [(components) => {
        const inner = noise()(components)
        const secure = inner.secureOutbound.bind(inner)
        return Object.assign(inner, {
          secureOutbound: async (...given: Parameters<typeof inner.secureOutbound>) => {
            const { connection } = await secure(...given)
            await connection.close()
            throw new Error('enough')
          },
        })
      }],
    })
    stops.push(async () => { await node.stop() })
    await assert.rejects(node.dial(multiaddr(mesh.self.address)), /enough/)
    // By the time that the next one is counted, the first has been seen to leave.
    const other = await started('b', { keys: OTHER_KEYS, bootstrap: [mesh.self.address] })
    await until(() => mesh.strangerCount > 0 && other.mesh.strangerCount > 0, 'the next one is counted')
    const last = { from: '127.0.0.1', reason: 'StrangerError: the peer holds another cluster key' }
    assert.deepEqual(warnings, [{ count: 1, last }])
  })

  it('counts no byte of gossip before there is any', async () => {
    const { mesh } = await started('a')
    assert.deepEqual(mesh.traffic.gossip, { sentBytes: 0, receivedBytes: 0 })
  })

  it('tells members once that another has left, and that it is back', async () => {
    const { a, b } = await pair()
    const changes: string[] = []
    a.onMember((change, { name }) => changes.push(`${change} ${name}`))
    await b.stop()
    await until(() => a.members().length === 0, 'it has left')
    await b.start()
    await until(() => a.members().length === 1, 'it is back')
    assert.equal(b.self.peerId === a.member('b')?.peerId, true)
    assert.deepEqual(changes, ['left b', 'joined b'])
  })

  it('asks its members whether they are there every four seconds, and keeps those who answer', async () => {
    const { a, b, clocks } = await pair()
    const timers = clocks.map(({ pendingCount }) => pendingCount)
    for (let second = 1; second <= 20; second++) {
      for (const clock of clocks) await clock.run(second * 1_000)
      // A ping has a timer of its own, as long as it is not answered.
      await until(() => clocks.every(({ pendingCount }, index) => pendingCount <= timers[index]!), 'all answer')
    }
    assert.deepEqual([a.members().length, b.members().length], [1, 1])
  })
})
