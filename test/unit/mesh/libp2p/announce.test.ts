/** A host behind address translation: others meet it elsewhere than where it listens. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect, createServer, type Server, type Socket } from 'node:net'

import type { Libp2pMeshInit, Mesh } from '../../../../src/mesh/index.ts'
import { freePort, libp2pMesh, until } from '../../../support/meshes.ts'

const OUTSIDE = '127.0.0.2'

describe('a host behind NAT', () => {
  const stops: (() => Promise<unknown> | void)[] = []
  afterEach(async () => { for (const stop of stops.splice(0).reverse()) await stop() })

  async function started(name: string, init: Partial<Libp2pMeshInit>): Promise<Mesh> {
    const mesh = libp2pMesh(name, init)
    stops.push(() => mesh.stop())
    await mesh.start()
    return mesh
  }

  /** Leads connections from a port outside to one inside; resolves to how many came. */
  async function forward(outside: number, inside: number): Promise<{ count: number }> {
    const seen = { count: 0 }
    const sockets = new Set<Socket>()
    const server: Server = createServer((near) => {
      seen.count += 1
      const far = connect(inside, '127.0.0.1')
      for (const [one, other] of [[near, far], [far, near]] as const) {
        sockets.add(one)
        one.on('error', () => {}).on('close', () => other.destroy()).pipe(other)
      }
    }).listen(outside, OUTSIDE)
    await once(server, 'listening')
    stops.push(() => {
      server.close()
      for (const socket of sockets) socket.destroy()
    })
    return seen
  }

  for (const isChosen of [false, true]) {
    it(`is met where it announces itself, its lanes at the ${isChosen ? 'chosen' : 'next'} port`, async () => {
      const [port, laneInside, outside] = [await freePort(), await freePort(), await freePort()]
      const lane = isChosen ? laneInside : port + 1
      const laneOutside = isChosen ? laneInside : outside + 1
      const mesh = await forward(outside, port)
      const lanes = await forward(laneOutside, lane)
      const a = await started('a', {
        listen: [`/ip4/127.0.0.1/tcp/${port}`], announce: [`/ip4/${OUTSIDE}/tcp/${outside}`],
        ...isChosen ? { lane: `127.0.0.1:${laneInside}` } : {},
      })
      assert.deepEqual([a.self.address, a.laneAddress],
        [`/ip4/${OUTSIDE}/tcp/${outside}`, `${OUTSIDE}:${laneOutside}`])
      const b = await started('b', { bootstrap: [a.self.address] })
      // It hears of a from b alone.
      const c = await started('c', { bootstrap: [b.self.address] })
      await until(() => c.member('a') !== undefined && c.announcedBy(a.self.peerId).length > 0, 'c meets a', 30_000)
      assert.deepEqual(c.announcedBy(a.self.peerId), [{ host: OUTSIDE, port: outside }])
      assert.ok(mesh.count > 0)
      const signal = AbortSignal.timeout(10_000)
      const offered = a.offerLane(signal)
      assert.equal(offered.ticket.address, `${OUTSIDE}:${laneOutside}`)
      const [there, here] = await Promise.all([b.dialLane(b.member('a')!, offered.ticket, signal), offered.lane])
      assert.equal(lanes.count, 1)
      there.destroy()
      here.destroy()
    })
  }
})
