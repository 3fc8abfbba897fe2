/** Sessions of many bytes over their bulk lanes, on memory meshes and on real ones. */
import assert from 'node:assert/strict'

import type { Mesh } from '../../../src/mesh/index.ts'
import { systemClock } from '../../../src/runtime/clock.ts'
import { fetchPages, MadePages, range, SwapNetwork, type SwapHost } from '../../support/madeswap.ts'
import { clusterKinds, until } from '../../support/meshes.ts'

const pages = new MadePages(4000)

/** The same mesh, counting the lanes that come to be; or one whose lanes cannot be dialed. */
function counting(mesh: Mesh, lanes: { dialed: number; isBarred: boolean }): Mesh {
  return new Proxy(mesh, {
    get(target, key) {
      const value: unknown = Reflect.get(target, key, target)
      if (key === 'dialLane') {
        return async (...given: Parameters<typeof target.dialLane>) => {
          if (lanes.isBarred) throw new Error('a firewall stands between')
          lanes.dialed += 1
          return await target.dialLane(...given)
        }
      }
      return typeof value === 'function' ? value.bind(target) as unknown : value
    },
  })
}

for (const { kind, create } of clusterKinds) {
  describe(`on ${kind} meshes`, () => {
    for (const isBarred of [false, true]) {
      it(isBarred ? 'pages come over the stream where no lane can be dialed' : 'pages come over one lane', async () => {
        const scene = new SwapNetwork(pages)
        const cluster = await create(['a', 'b'])
        const lanes = { dialed: 0, isBarred }
        const a: SwapHost = await scene.addTo(counting(cluster.meshes[0]!, lanes))
        const b = await scene.addTo(cluster.meshes[1]!, { has: () => true })
        await until(() => a.mesh.member('b') !== undefined, 'they know each other')
        for (let round = 0; round < 3; round++) {
          const { basket, counts } = fetchPages(a, pages, range(4000), ['b'])
          assert.deepEqual(await counts, { fetched: 4000, missing: 0 })
          assert.deepEqual(basket.sorted, range(4000))
        }
        assert.equal(lanes.dialed, isBarred ? 0 : 1)
        const { handoff, placement } = a.swap.traffic
        assert.ok(handoff.receivedBytes > 3 * 4000 * 1400 && handoff.receivedBytes < 3 * 4000 * 2000)
        assert.ok(handoff.sentBytes >= 3 * 4000 * 8)
        assert.deepEqual(placement, { sentBytes: 0, receivedBytes: 0 })
        const far = b.swap.traffic.handoff
        assert.ok(Math.abs(far.sentBytes - handoff.receivedBytes) < handoff.receivedBytes * 0.01)
        assert.ok(Math.abs(far.receivedBytes - handoff.sentBytes) < handoff.sentBytes * 0.1)
        await scene.end()
        await cluster.stop()
      })
    }
  })
}

describe('a session whose lane breaks', () => {
  it('is begun anew, and no page is lost to another holder', async () => {
    const scene = new SwapNetwork(pages)
    for (const name of ['b', 'c']) await scene.add(name, { has: () => true })
    const a = await scene.add('a')
    let delivered = 0
    const { basket, counts } = fetchPages(a, pages, range(4000), ['b', 'c'], {
      deliver: async (arrived) => {
        basket.take(arrived)
        delivered += arrived.count
        if (delivered === arrived.count * 5) scene.network.cutLanes()
        await systemClock.sleep(1)
      },
    })
    const { fetched, missing } = await counts
    assert.equal(fetched + missing, 4000)
    assert.ok(fetched >= 4000 - 2 * 3 * 256, `${fetched} pages`)
    assert.deepEqual(basket.sorted.length, fetched)
    assert.ok(a.standing.isTrusted('memory-b') && a.standing.isTrusted('memory-c'))
    await scene.end()
  })
})
