/** Lanes that are given away before TLS. Here the other thread is this one: it has nothing but what it is handed. */
import assert from 'node:assert/strict'

import { openHandedLane, secureLane } from '../../../../src/mesh/lanes/index.ts'
import type { HandedLane, Lane, LaneTaker, UnsecuredLane } from '../../../../src/mesh/lanes/lane.ts'
import { dialLaneSocket } from '../../../../src/mesh/lanes/lanedial.ts'
import { encodePreamble } from '../../../../src/mesh/lanes/lanepreamble.ts'
import type { LaneServer } from '../../../../src/mesh/lanes/laneserver.ts'
import { kernelInUse } from '../../../../src/page/index.ts'
import { systemClock } from '../../../../src/runtime/clock.ts'
import { deferred } from '../../../../src/runtime/wait.ts'
import { until } from '../../../support/meshes.ts'
import { closed, LanePort } from './lanesockets.ts'

const { signal } = new AbortController()

/** Whoever a lane is given to. */
class Taker implements LaneTaker {
  readonly securing = deferred<void>()
  readonly closing = deferred<Error | undefined>()
  readonly secured = this.securing.promise
  readonly closed = this.closing.promise
  isDestroyed = false

  destroy(): void {
    this.isDestroyed = true
  }

  /** Makes TLS, and says what came of it. */
  async secure(handed: HandedLane): Promise<Lane> {
    try {
      const lane = await secureLane({ clock: systemClock }, openHandedLane(structuredClone(handed)), handed, signal)
      this.securing.resolve()
      void lane.closed.then((error) => this.closing.resolve(error))
      return lane
    } catch (error) {
      this.securing.reject(error)
      this.closing.resolve(undefined)
      throw error
    }
  }
}

async function shown(server: LaneServer): Promise<{ offered: UnsecuredLane; dialed: UnsecuredLane }> {
  const { ticket, lane } = server.offer(signal)
  const dialed = await dialLaneSocket({ clock: systemClock }, ticket.address, ticket, signal)
  return { offered: await lane, dialed }
}

describe('a lane that is given away before TLS', () => {
  let port: LanePort

  before(function () {
    if (kernelInUse() === 'package') this.skip()
  })

  beforeEach(async () => { port = await new LanePort().listen() })
  afterEach(() => port.server.close())

  for (const given of [['offered'], ['dialed'], ['offered', 'dialed']] as const) {
    it(`carries bytes both ways and counts what goes over the wire: ${given.join(' and ')}`, async () => {
      const lanes = await shown(port.server)
      const open = (end: 'offered' | 'dialed'): Promise<Lane> => {
        if (!(given as readonly string[]).includes(end)) return lanes[end].secure(signal)
        const taker = new Taker()
        const handed = lanes[end].handOver(taker)
        assert.ok(handed !== undefined)
        assert.equal(handed.role, end)
        return taker.secure(handed)
      }
      const [offered, dialed] = await Promise.all([open('offered'), open('dialed')])
      const bytes = Buffer.alloc(200_000, 7)
      let receivedBytes = 0
      for (const lane of [offered, dialed]) lane.receive(({ length }) => { receivedBytes += length })
      for (const lane of [offered, dialed]) lane.write(bytes)
      await until(() => receivedBytes === 2 * bytes.length, 'all has arrived')
      assert.deepEqual([dialed.sentBytes, offered.sentBytes], [offered.receivedBytes, dialed.receivedBytes])
      assert.ok(dialed.sentBytes > bytes.length && dialed.sentBytes < bytes.length * 1.02)
      await offered.end()
      await dialed.closed
      assert.deepEqual(port.strangers, [])
    })
  }

  it('takes along what came behind the ticket', async () => {
    const { ticket, lane } = port.server.offer(signal)
    const socket = await port.connect()
    socket.write(Buffer.concat([encodePreamble('lane', ticket.id), Buffer.from('and more')]))
    const taker = new Taker()
    const handed = (await lane).handOver(taker)!
    assert.equal(Buffer.from(handed.early).toString(), 'and more')
    assert.equal(handed.receivedBytes, 32)
    await assert.rejects(taker.secure(handed), { code: 'lane-unreachable' })
    await until(() => port.strangers.length === 1, 'it is counted')
    await closed(socket)
  })

  it('cannot be given away once it is closed, nor used', async () => {
    const { offered, dialed } = await shown(port.server)
    dialed.destroy()
    offered.destroy()
    assert.equal(dialed.handOver(new Taker()), undefined)
    await assert.rejects(dialed.secure(signal), { code: 'lane-unreachable' })
    await assert.rejects(offered.secure(signal), { code: 'lane-unreachable' })
  })

  it('is a stranger until TLS is made elsewhere, and is dropped there after five seconds', async () => {
    const { offered, dialed } = await shown(port.server)
    const taker = new Taker()
    const handed = offered.handOver(taker)!
    await port.clock.run(4_999)
    assert.equal(taker.isDestroyed, false)
    await port.clock.run(5_000)
    assert.equal(taker.isDestroyed, true)
    assert.deepEqual(port.strangers, ['5000 127.0.0.1: it did not prove the cluster key in time'])
    openHandedLane(handed).socket.destroy()
    taker.closing.resolve(undefined)
    await assert.rejects(dialed.secure(signal), { code: 'lane-unreachable' })
  })

  it('is no stranger once it is secured, nor if its peer hung up', async () => {
    const first = await shown(port.server)
    const taker = new Taker()
    const securing = taker.secure(first.offered.handOver(taker)!)
    const lanes = await Promise.all([securing, first.dialed.secure(signal)])
    const second = await shown(port.server)
    const other = new Taker()
    const handed = second.offered.handOver(other)!
    second.dialed.destroy()
    await assert.rejects(other.secure(handed), { code: 'lane-unreachable' })
    await port.clock.run(60_000)
    assert.deepEqual(port.strangers, [])
    for (const lane of lanes) lane.destroy()
  })

  it('counts among the lanes that may be open, for as long as it is open elsewhere', async () => {
    const limited = await new LanePort({ lanesMax: 1 }).listen()
    try {
      const { offered, dialed } = await shown(limited.server)
      const taker = new Taker()
      const [lane] = await Promise.all([taker.secure(offered.handOver(taker)!), dialed.secure(signal)])
      assert.throws(() => limited.server.offer(signal), { code: 'lanes-exhausted' })
      lane.destroy()
      await lane.closed
      await until(() => {
        try {
          return limited.server.offer(signal) !== undefined
        } catch {
          return false
        }
      }, 'another may be opened')
    } finally {
      await limited.server.close()
    }
  })

  it('is closed with its port, wherever it is', async () => {
    const { offered, dialed } = await shown(port.server)
    const taker = new Taker()
    const handed = offered.handOver(taker)!
    await port.server.close()
    assert.equal(taker.isDestroyed, true)
    openHandedLane(handed).socket.destroy()
    dialed.destroy()
  })
})
