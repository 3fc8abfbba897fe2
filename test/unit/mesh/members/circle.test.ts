import assert from 'node:assert/strict'

import { Circle, MemoryNetwork, type Mesh } from '../../../../src/mesh/index.ts'
import { systemClock } from '../../../../src/runtime/clock.ts'
import { silentLog } from '../../../../src/runtime/log.ts'
import { clusterKinds, until } from '../../../support/meshes.ts'
import { settle } from '../../../support/passagerelay.ts'
import { VirtualClock } from '../../../support/time.ts'

const signal = new AbortController().signal

describe('a circle of members', () => {
  let clock: VirtualClock
  let network: MemoryNetwork
  let meshes: Mesh[]

  beforeEach(async () => {
    clock = new VirtualClock()
    network = new MemoryNetwork({ clock })
    meshes = ['a', 'b', 'c'].map((name) => network.createMesh(name))
    for (const mesh of meshes) await mesh.start()
  })
  afterEach(async () => {
    for (const mesh of meshes) await mesh.stop()
  })

  function circleOf(mesh: Mesh, name = 'blue'): Circle {
    return new Circle({ mesh, clock, log: silentLog }, { name })
  }

  const namesIn = (circle: Circle): string[] => circle.members().map(({ name }) => name)

  it('has those that take part in the same thing, whoever is first', async () => {
    const [a, b, c] = [circleOf(meshes[0]!), circleOf(meshes[1]!), circleOf(meshes[2]!, 'red')]
    const heard: string[] = []
    a.onMember((change, { name }) => heard.push(`${name} ${change}`))
    a.join()
    await settle(20)
    assert.deepEqual(namesIn(a), [])
    b.join()
    c.join()
    await settle(20)
    assert.deepEqual([namesIn(a), namesIn(b), namesIn(c)], [['b'], ['a'], []])
    assert.deepEqual(heard, ['b joined'])
    await meshes[1]!.stop()
    await settle(20)
    assert.deepEqual([namesIn(a), heard], [[], ['b joined', 'b left']])
  })

  it('asks members that come, and those again that did not answer', async () => {
    const a = circleOf(meshes[0]!)
    const leave = a.join()
    const late = network.createMesh('late')
    const other = circleOf(late)
    other.join()
    await late.start()
    await settle(20)
    assert.deepEqual([namesIn(a), namesIn(other)], [['late'], ['a']])
    // b takes part without being seen to come: it is found within a minute, by whoever asks first.
    const silent = circleOf(meshes[1]!)
    meshes[1]!.handle('/pagemesh/circle/1/blue', async (stream) => { await stream.send(Uint8Array.of(1)) })
    await settle(20)
    assert.deepEqual(namesIn(a), ['late'])
    await clock.run(clock.now() + 60_000)
    await settle(20)
    assert.deepEqual(namesIn(a).sort(), ['b', 'late'])
    assert.deepEqual(namesIn(silent), [])
    leave()
    assert.deepEqual(namesIn(a), [])
    await late.stop()
  })

  it('waits five seconds for an answer, and takes a silent member for none of it', async () => {
    const a = circleOf(meshes[0]!)
    meshes[1]!.handle('/pagemesh/circle/1/blue', () => new Promise(() => undefined))
    a.join()
    await settle(20)
    await clock.run(clock.now() + 5_000)
    await settle(20)
    assert.deepEqual(namesIn(a), [])
  })

  it('has protocols and topics that nobody else serves and hears', async () => {
    const [a, b, c] = [circleOf(meshes[0]!), circleOf(meshes[1]!), circleOf(meshes[2]!, 'red')]
    for (const circle of [a, b, c]) circle.join()
    await settle(20)
    const heard: string[] = []
    for (const [name, circle] of [['b', b], ['c', c]] as const) {
      circle.handle('/talk/1', async (stream, from) => { await stream.send(Buffer.from(`${name} to ${from.name}`)) })
      circle.subscribe('/news/1', (message, from) => {
        heard.push(`${name}: ${Buffer.from(message).toString()} of ${from}`)
      })
    }
    meshes[2]!.subscribe('/news/1', () => heard.push('the mesh'))
    await a.publish('/news/1', Buffer.from('hello'))
    await settle(20)
    assert.deepEqual(heard, [`b: hello of ${meshes[0]!.self.peerId}`])
    const stream = await a.open('b', '/talk/1', signal)
    assert.equal(Buffer.from(await stream.receive()).toString(), 'b to a')
    await assert.rejects(a.open('c', '/talk/1', signal), { code: 'host-unreachable' })
    await assert.rejects(meshes[2]!.open('b', '/talk/1', signal), { code: 'host-unreachable' })
  })
})

for (const { kind, create } of clusterKinds) {
  describe(`a circle in a ${kind} mesh`, () => {
    it('is found, and carries what is said in it', async () => {
      const cluster = await create(['a', 'b', 'c'])
      const [a, b, c] = cluster.meshes.map((mesh, index) =>
        new Circle({ mesh, clock: systemClock, log: silentLog }, { name: index < 2 ? 'blue' : 'red' })) as
        [Circle, Circle, Circle]
      const leave = [a, b, c].map((circle) => circle.join())
      try {
        await until(() => a.members().length === 1 && b.members().length === 1, 'a and b have found each other')
        assert.deepEqual([a, b, c].map((circle) => circle.members().map(({ name }) => name)), [['b'], ['a'], []])
        const heard: string[] = []
        for (const [name, circle] of [['b', b], ['c', c]] as const) {
          circle.subscribe('/news/1', () => heard.push(name))
          circle.handle('/talk/1', async (stream, from) => {
            await stream.send(Buffer.from(`${name} to ${from.name}`))
          })
        }
        const stream = await a.open('b', '/talk/1', AbortSignal.timeout(10_000))
        assert.equal(Buffer.from(await stream.receive()).toString(), 'b to a')
        await stream.close()
        await assert.rejects(a.open('c', '/talk/1', AbortSignal.timeout(10_000)), { code: 'host-unreachable' })
        // Gossip needs a moment to know who follows what: it is said until it is heard.
        await until(() => {
          void a.publish('/news/1', Buffer.from('hello'))
          return heard.length > 0
        }, 'b has heard a')
        assert.deepEqual(new Set(heard), new Set(['b']))
      } finally {
        for (const each of leave) each()
        await cluster.stop()
      }
    }).timeout(20_000)
  })
}
