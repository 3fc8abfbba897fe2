/** Real meshes and lanes on loopback: what goes through the holder's sockets, both ways, all protocols together. */
import assert from 'node:assert/strict'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import type { Socket } from 'node:net'

import type { Mesh } from '../../../src/mesh/index.ts'
import { systemClock } from '../../../src/runtime/clock.ts'
import { fetchPages, MadePages, range, SwapNetwork, type HostInit, type SwapHost } from '../../support/madeswap.ts'
import { libp2pMesh, until } from '../../support/meshes.ts'

const SAMPLE_MS = 20
const WINDOW_MS = 1000

/** Counts all bytes of the sockets that were accepted in this process, while it is there. */
class SocketCount {
  readonly #sockets = new Set<Socket>()
  readonly #add = (message: unknown): void => { this.#sockets.add((message as { socket: Socket }).socket) }

  constructor() {
    subscribe('net.server.socket', this.#add)
  }

  get bytes(): number {
    let bytes = 0
    for (const { bytesRead, bytesWritten } of this.#sockets) bytes += bytesRead + bytesWritten
    return bytes
  }

  end(): void {
    unsubscribe('net.server.socket', this.#add)
  }
}

/** Two hosts; all connections are accepted by the holder. */
async function pair(pages: MadePages, holder: HostInit, asker: HostInit): Promise<{
  scene: SwapNetwork; a: SwapHost; b: SwapHost
}> {
  const scene = new SwapNetwork(pages)
  const meshB: Mesh = libp2pMesh('b', { lane: '127.0.0.1:0' })
  const b = await scene.addTo(meshB, holder)
  const meshA = libp2pMesh('a', { lane: '127.0.0.1:0', bootstrap: [meshB.self.address] })
  const a = await scene.addTo(meshA, asker)
  await until(() => meshA.member('b') !== undefined && meshB.member('a') !== undefined, 'both know each other')
  return { scene, a, b }
}

/** The most that went through in any window, bytes, by samples of how much had gone through when. */
function mostInWindow(samples: readonly { at: number; bytes: number }[], windowMs: number): number {
  let most = 0
  let first = 0
  for (const { at, bytes } of samples) {
    while (samples[first + 1]!.at <= at - windowMs) first += 1
    most = Math.max(most, bytes - samples[first]!.bytes)
  }
  return most
}

describe('at the interface', () => {
  const counted: SocketCount[] = []

  afterEach(() => { for (const count of counted.splice(0)) count.end() })

  it('neither is it when both hosts ask each other', async function () {
    this.timeout(30_000)
    const rate = 2_500_000
    const pages = new MadePages(3000, 3000)
    const count = new SocketCount()
    counted.push(count)
    const init = { bytesPerSecondMax: rate }
    const { scene, a, b } = await pair(pages, { ...init, has: (number) => number % 2 === 0 }, {
      ...init, has: (number) => number % 2 === 1,
    })
    const samples = [{ at: systemClock.now(), bytes: count.bytes }]
    const sampling = systemClock.every(SAMPLE_MS, () => samples.push({ at: systemClock.now(), bytes: count.bytes }))
    const odd = fetchPages(b, pages, range(1500).map((number) => number * 2 + 1), ['a'], { purpose: 'placement' })
    const even = fetchPages(a, pages, range(1500).map((number) => number * 2), ['b'], { purpose: 'placement' })
    assert.deepEqual(await Promise.all([odd.counts, even.counts]), Array(2).fill({ fetched: 1500, missing: 0 }))
    sampling.cancel()
    const most = mostInWindow(samples, WINDOW_MS)
    assert.ok(most <= 1.2 * rate, `${most} bytes in a second`)
    await scene.end()
  })

  for (const [what, noiseBytes] of [['that do not shrink', 4092], ['that shrink to a third', 1400]] as const) {
    it(`no second of proactive traffic is above 1.2 times the cap, with pages ${what}`, async function () {
      this.timeout(30_000)
      const rate = 2_500_000
      const pages = new MadePages(noiseBytes === 4092 ? 1500 : 4000, noiseBytes)
      const count = new SocketCount()
      counted.push(count)
      const init = { bytesPerSecondMax: rate }
      const { scene, a, b } = await pair(pages, { ...init, has: () => true }, init)
      const samples = [{ at: systemClock.now(), bytes: count.bytes }]
      const sample = (): void => { samples.push({ at: systemClock.now(), bytes: count.bytes }) }
      const sampling = systemClock.every(SAMPLE_MS, sample)
      const { basket, counts } = fetchPages(a, pages, range(pages.count), ['b'], { purpose: 'placement' })
      assert.deepEqual(await counts, { fetched: pages.count, missing: 0 })
      sampling.cancel()
      sample()
      assert.deepEqual(basket.sorted, range(pages.count))
      const most = mostInWindow(samples, WINDOW_MS)
      const wireBytes = samples.at(-1)!.bytes - samples[0]!.bytes
      assert.ok(most <= 1.2 * rate, `${most} bytes in a second`)
      const { sentBytes, receivedBytes } = b.swap.traffic.placement
      const said = sentBytes + receivedBytes
      assert.ok(said > wireBytes * 0.97 && said <= wireBytes, `${said} of ${wireBytes} bytes are accounted for`)
      assert.ok(Math.abs(a.swap.traffic.placement.receivedBytes - sentBytes) < sentBytes * 0.01)
      assert.deepEqual(a.swap.traffic.handoff, { sentBytes: 0, receivedBytes: 0 })
      await scene.end()
    })
  }
})
