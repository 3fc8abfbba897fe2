/** Members that ask for too much, talk nonsense or take nothing: the holder stays as it is, and serves the others. */
import assert from 'node:assert/strict'

import type { MessageStream } from '../../../src/mesh/index.ts'
import { AnswerReader, decodeAnswer, type Answer } from '../../../src/swap/frames.ts'
import { decodeHolderMessage, encodeHello, encodeWant, SWAP_PROTOCOL } from '../../../src/swap/wire.ts'
import { MadePages, range, SwapNetwork, type HostInit, type SwapHost } from '../../support/madeswap.ts'
import { until } from '../../support/meshes.ts'
import { VirtualClock } from '../../support/time.ts'

const pages = new MadePages(1000)
const signal = new AbortController().signal

interface Scene {
  clock: VirtualClock
  scene: SwapNetwork
  b: SwapHost
  open(purpose?: 'placement' | 'handoff'): Promise<MessageStream>
}

async function started(init: HostInit = { has: () => true }): Promise<Scene> {
  const clock = new VirtualClock()
  const scene = new SwapNetwork(pages, clock)
  const b = await scene.add('b', init)
  const mesh = scene.network.createMesh('asker')
  await mesh.start()
  return {
    clock, scene, b,
    async open(purpose) {
      const stream = await mesh.open('b', SWAP_PROTOCOL, signal)
      // It may be broken before it was greeted.
      if (purpose !== undefined) await stream.send(encodeHello(purpose)).catch(() => undefined)
      return stream
    },
  }
}

async function isBroken({ clock }: Scene, stream: MessageStream): Promise<boolean> {
  try {
    await clock.complete(stream.receive())
    return false
  } catch {
    return true
  }
}

/** The next answers that come over a stream. */
async function answers({ clock }: Scene, stream: MessageStream, count: number): Promise<Answer[]> {
  const came: Answer[] = []
  const frames = new AnswerReader((body) => came.push(decodeAnswer(body)))
  while (came.length < count) {
    const message = decodeHolderMessage(await clock.complete(stream.receive()))
    if (message.kind === 'slice') frames.push(message.bytes)
  }
  return came
}

const want = (sequence: number): Uint8Array => encodeWant(sequence, pages.prefixes([1]))

describe('an asker that', () => {
  for (const [what, messages] of [
    ['does not greet', [want(1)]],
    ['greets with another version', [Uint8Array.of(1, 2, 1)]],
    ['greets for no purpose', [Uint8Array.of(1, 1, 3)]],
    ['greets twice', [encodeHello('handoff'), encodeHello('handoff')]],
    ['sends nothing in a message', [encodeHello('handoff'), new Uint8Array(0)]],
    ['sends a message of no kind', [encodeHello('handoff'), Uint8Array.of(9, 9)]],
    ['wants nothing', [encodeHello('handoff'), Uint8Array.of(2, 0, 0, 0, 1)]],
    ['wants half a page', [encodeHello('handoff'), Uint8Array.of(2, 0, 0, 0, 1, 7, 7, 7, 7)]],
    ['wants too many pages', [encodeHello('handoff'), encodeWant(1, pages.prefixes(range(257)))]],
    ['uses a sequence twice', [encodeHello('handoff'), want(1), want(1)]],
    ['goes back in its sequences', [encodeHello('handoff'), want(5), want(4)]],
    ['begins with sequence 0', [encodeHello('handoff'), want(0)]],
  ] as const) {
    it(`${what} has its stream broken, and is not heard after the fourth time`, async () => {
      const scene = await started({ sources: [pages.source(() => true, () => new Promise(() => undefined))] })
      for (let times = 0; times < 4; times++) {
        assert.ok(scene.b.standing.isTrusted('memory-asker'))
        const stream = await scene.open()
        for (const message of messages) await stream.send(message).catch(() => undefined)
        assert.ok(await isBroken(scene, stream))
      }
      assert.equal(scene.b.standing.isTrusted('memory-asker'), false)
      const stream = await scene.open('handoff')
      assert.ok(await isBroken(scene, stream))
    })
  }

  it('wants more at once than it may is told that the holder is busy, and loses no standing', async () => {
    const gate = Promise.withResolvers<void>()
    const scene = await started({ sources: [pages.source(() => true, () => gate.promise)] })
    const stream = await scene.open('handoff')
    for (let sequence = 1; sequence <= 10; sequence++) await stream.send(want(sequence))
    const busy = await answers(scene, stream, 6)
    assert.deepEqual(busy.map(({ status, sequence }) => `${status} ${sequence}`),
      range(6, 5).map((sequence) => `busy ${sequence}`))
    gate.resolve()
    assert.deepEqual((await answers(scene, stream, 4)).map(({ sequence }) => sequence), [1, 2, 3, 4])
    scene.b.standing.fault('memory-asker', 3.9)
    assert.ok(scene.b.standing.isTrusted('memory-asker'))
    await stream.close()
    await scene.scene.end()
  })

  it('comes when as much waits under the cap as can be sent in time is told at once', async () => {
    const scene = await started({ has: () => true, bytesPerSecondMax: 125_000 })
    const meshes = await Promise.all(range(40).map(async (number) => {
      const mesh = scene.scene.network.createMesh(`asker-${number}`)
      await mesh.start()
      return mesh
    }))
    const streams = await Promise.all(meshes.map((mesh) => mesh.open('b', SWAP_PROTOCOL, signal)))
    for (const stream of streams) {
      await stream.send(encodeHello('placement'))
      for (let sequence = 1; sequence <= 4; sequence++) await stream.send(want(sequence))
    }
    await scene.clock.run(scene.clock.now() + 9_000)
    const outcomes: string[] = []
    for (const stream of streams) {
      outcomes.push(...(await answers(scene, stream, 4)).map(({ status }) => status))
    }
    const served = outcomes.filter((status) => status === 'pages').length
    assert.ok(served >= 80 && served <= 90, `${served} of 160 were served, the others told`)
    assert.ok(scene.clock.now() < 10_000)
    for (const stream of streams) await stream.close()
    await scene.scene.end()
  })

  it('wants more and more without listening has its session ended', async () => {
    const noisy = new MadePages(256, 4092)
    const scene = await started({ sources: [noisy.source(() => true)] })
    const stream = await scene.open('handoff')
    const all = noisy.prefixes(range(256))
    let sent = 0
    const flood = async (): Promise<void> => { for (;;) await stream.send(encodeWant(++sent, all)) }
    await assert.rejects(scene.clock.complete(flood()))
    assert.ok(sent < 400, `${sent} wants`)
    await scene.scene.end()
  })

  it('opens too many sessions gets no more, until it closes some', async () => {
    const scene = await started()
    const streams: MessageStream[] = []
    for (let session = 0; session < 4; session++) streams.push(await scene.open('handoff'))
    const fifth = await scene.open('handoff')
    assert.ok(await isBroken(scene, fifth))
    await streams[0]!.close()
    await scene.clock.run(scene.clock.now() + 10)
    const next = await scene.open('handoff')
    await next.send(want(1))
    assert.equal((await answers(scene, next, 1))[0]!.status, 'pages')
    for (const stream of [...streams, next]) await stream.close()
    await scene.scene.end()
  })

  it('does not greet in time, or takes nothing, has its session ended', async () => {
    const scene = await started()
    const mute = await scene.open()
    await scene.clock.run(scene.clock.now() + 11_000)
    assert.ok(await isBroken(scene, mute))
    // Not shrinking, so that what is sent fills the stream's queue.
    const noisy = new MadePages(256, 4092)
    const other = await scene.scene.add('other', { sources: [noisy.source(() => true)] })
    const mesh = scene.scene.network.createMesh('taker')
    await mesh.start()
    const stream = await mesh.open('other', SWAP_PROTOCOL, signal)
    await stream.send(encodeHello('handoff'))
    const all = noisy.prefixes(range(256))
    for (let sequence = 1; sequence <= 4; sequence++) await stream.send(encodeWant(sequence, all))
    // Pages are packed on another thread, for which virtual time does not wait.
    await until(() => other.swap.traffic.handoff.sentBytes >= 256 * 1024, 'the queue of the stream is full')
    await scene.clock.run(scene.clock.now() + 11_000)
    assert.ok(other.swap.pages.served <= 256)
    assert.ok(await isBroken(scene, stream))
    await scene.scene.end()
  })
})
