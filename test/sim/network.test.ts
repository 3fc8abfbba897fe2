import assert from 'node:assert/strict'

import type { MessageStream } from '../../src/mesh/index.ts'
import { Chance } from '../support/chance.ts'
import { VirtualClock } from '../support/time.ts'
import { LINK_MODEL, type LinkModel } from './link.ts'
import type { SimMesh } from './mesh.ts'
import { SimNetwork } from './network.ts'

const FLAWLESS: LinkModel = { ...LINK_MODEL, loss: 0, duplicates: 0 }
const signal = new AbortController().signal

async function cluster(names: string[], model = FLAWLESS): Promise<{
  clock: VirtualClock; network: SimNetwork; meshes: SimMesh[]
}> {
  const clock = new VirtualClock()
  const network = new SimNetwork({ clock, chance: new Chance(1) }, model)
  const meshes = names.map((name) => network.createMesh(name))
  for (const mesh of meshes) await mesh.start()
  await clock.run(5_000)
  return { clock, network, meshes }
}

async function echo(stream: MessageStream): Promise<void> {
  for (;;) await stream.send(await stream.receive())
}

describe('the simulated network', () => {
  it('introduces hosts to each other, and reports those that left', async () => {
    const { clock, network, meshes: [a, b, c] } = await cluster(['a', 'b', 'c'])
    assert.deepEqual(a!.members().map(({ name }) => name).sort(), ['b', 'c'])
    const changes: string[] = []
    a!.onMember((change, { name }) => changes.push(`${change} ${name}`))
    await b!.stop()
    await clock.run(clock.now() + 500)
    assert.deepEqual(changes, ['left b'])
    network.crash(c!)
    await clock.run(clock.now() + 900)
    assert.equal(a!.members().length, 1, 'a crash is not noticed at once')
    await clock.run(clock.now() + 20_000)
    assert.deepEqual(changes, ['left b', 'left c'])
  })

  it('does not report a host that was back before its loss was noticed', async () => {
    const { clock, network, meshes: [a, b] } = await cluster(['a', 'b'], {
      ...FLAWLESS, crashNoticedMs: { least: 10_000, most: 11_000 },
    })
    const changes: string[] = []
    a!.onMember((change) => changes.push(change))
    b!.handle('/test/wait/1', async (stream) => { await stream.receive() })
    const stream = await clock.complete(a!.open('b', '/test/wait/1', signal))
    const received = assert.rejects(stream.receive(), { code: 'stream-broken' })
    network.crash(b!)
    const again = network.createMesh('b')
    await again.start()
    await clock.run(clock.now() + 30_000)
    assert.deepEqual(changes, [])
    assert.ok(a!.isConnectedTo(again))
    await received
  })

  it('carries messages in order, and reports the end or break of a stream', async () => {
    const { clock, meshes: [a, b] } = await cluster(['a', 'b'])
    b!.handle('/test/echo/1', echo)
    b!.handle('/test/fail/1', async (stream) => {
      await stream.receive()
      throw new Error('no')
    })
    const stream = await clock.complete(a!.open('b', '/test/echo/1', signal))
    const message = Uint8Array.of(1, 2, 3)
    await stream.send(message)
    message.fill(9)
    await stream.send(Uint8Array.of(4))
    assert.deepEqual(await clock.complete(stream.receive()), Uint8Array.of(1, 2, 3))
    assert.deepEqual(await clock.complete(stream.receive()), Uint8Array.of(4))
    await stream.close()
    await assert.rejects(stream.receive(), { code: 'stream-ended' })
    const failing = await clock.complete(a!.open('b', '/test/fail/1', signal))
    await failing.send(message)
    await assert.rejects(clock.complete(failing.receive()), { code: 'stream-broken' })
    await assert.rejects(a!.open('nobody', '/test/echo/1', signal), { code: 'host-unknown' })
    await assert.rejects(clock.complete(a!.open('b', '/test/none/1', signal)), { code: 'host-unreachable' })
    await clock.run(clock.now() + 1000)
    assert.equal(a!.streams.size + b!.streams.size, 0)
  })

  it('blocks a sender whose messages are not read', async () => {
    const { clock, meshes: [a, b] } = await cluster(['a', 'b'])
    const gate = Promise.withResolvers<void>()
    b!.handle('/test/slow/1', async (stream) => {
      await gate.promise
      for (;;) await stream.receive()
    })
    const stream = await clock.complete(a!.open('b', '/test/slow/1', signal))
    let sentCount = 0
    const sending = (async () => {
      for (; sentCount < 20; sentCount++) await stream.send(new Uint8Array(64 * 1024))
    })()
    await clock.run(clock.now() + 5_000)
    assert.equal(sentCount, 3)
    gate.resolve()
    await clock.complete(sending)
  })

  it('loses messages on their way when a partition begins, and rejoins both sides after it', async () => {
    const { clock, network, meshes: [a, b, c] } = await cluster(['a', 'b', 'c'])
    c!.handle('/test/echo/1', echo)
    const stream = await clock.complete(a!.open('c', '/test/echo/1', signal))
    network.partition(new Set(['c']))
    await stream.send(Uint8Array.of(1))
    const received = assert.rejects(stream.receive(), { code: 'stream-broken' })
    const opened = assert.rejects(a!.open('c', '/test/echo/1', signal), { fault: /usage|network/ })
    await clock.run(clock.now() + 21_000)
    await received
    await opened
    assert.deepEqual([a, b, c].map((mesh) => mesh!.members().length), [1, 1, 0])
    network.heal()
    await clock.run(clock.now() + 11_000)
    assert.deepEqual([a, b, c].map((mesh) => mesh!.members().length), [2, 2, 2])
    await clock.complete(a!.open('c', '/test/echo/1', signal))
  })

  it('loses, repeats and reorders gossip, and accounts for all copies', async () => {
    const names = Array.from({ length: 21 }, (_, index) => `host-${index}`)
    const { clock, meshes } = await cluster(names, LINK_MODEL)
    const heard: number[] = []
    for (const mesh of meshes) mesh.subscribe('/test/1', (message, from) => {
      assert.equal(from, meshes[0]!.self.peerId)
      heard.push(message[0]!)
    })
    const count = 200
    for (let i = 0; i < count; i++) await meshes[0]!.publish('/test/1', new Uint8Array(100).fill(i))
    await clock.run(clock.now() + 2_000)
    const arrived = heard.length / (count * 20)
    assert.ok(Math.abs(arrived - 0.95 * 1.02) < 0.02, `${arrived}`)
    assert.notDeepEqual(heard, [...heard].sort((one, other) => one - other))
    assert.equal(meshes[0]!.traffic.gossip.sentBytes, count * 290 * 4)
    const received = meshes[1]!.traffic.gossip.receivedBytes
    assert.ok(received > count * 290 * 3 * 0.85 && received <= count * 290 * 3)
    await assert.rejects(meshes[0]!.publish('/test/1', new Uint8Array(33_000)), { code: 'message-too-long' })
  })

  it('breaks one exchange in twenty', async () => {
    const { clock, meshes: [a, b] } = await cluster(['a', 'b'], LINK_MODEL)
    b!.handle('/test/echo/1', echo)
    let broken = 0
    const exchange = async (): Promise<void> => {
      const stream = await a!.open('b', '/test/echo/1', signal)
      for (let i = 0; i < 2; i++) {
        await stream.send(new Uint8Array(10))
        await stream.receive()
      }
      await stream.close()
    }
    for (let i = 0; i < 1000; i++) await clock.complete(exchange().catch(() => { broken += 1 }))
    assert.ok(broken > 30 && broken < 70, `${broken}`)
    await clock.run(clock.now() + 1000)
    assert.equal(a!.streams.size + b!.streams.size, 0)
  })
})
