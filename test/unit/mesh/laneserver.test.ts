import assert from 'node:assert/strict'
import { createConnection, type Socket } from 'node:net'

import { LaneServer } from '../../../src/mesh/laneserver.ts'
import { LaneTickets, TICKET_VALID_MS, TICKETS_MAX } from '../../../src/mesh/lanetickets.ts'
import type { Clock } from '../../../src/runtime/clock.ts'
import { systemRandom } from '../../../src/runtime/random.ts'
import { components, until } from './meshes.ts'

describe('the lane port', () => {
  const init = { isKnown: () => false, stranger: () => {} }

  it('closes whoever sends garbage, or nothing in time', async () => {
    const server = new LaneServer(components, { ...init, handshakeTimeoutMs: 200 })
    await server.listen('127.0.0.1:0')
    const port = Number(server.address.split(':')[1])
    try {
      const garbage = dial(port)
      garbage.write(Buffer.alloc(1_000, 0x5a))
      const idle = dial(port)
      await until(() => garbage.destroyed && idle.destroyed, 'both are closed', 5_000)
    } finally {
      await server.close()
    }
  })

  it('closes with idle connections open, and then refuses new ones', async () => {
    const server = new LaneServer(components, init)
    await server.listen('127.0.0.1:0')
    const port = Number(server.address.split(':')[1])
    const idle = dial(port)
    await until(() => !idle.connecting, 'it is connected')
    await server.close()
    await until(() => idle.destroyed, 'it is closed')
    const late = dial(port)
    await until(() => late.destroyed, 'it is refused')
  })
})

describe('lane tickets', () => {
  it('expire, and can then not be redeemed', async () => {
    const clock = manualClock()
    const tickets = new LaneTickets({ clock, random: systemRandom })
    const { id, lane } = tickets.offer(new AbortController().signal)
    clock.advance(TICKET_VALID_MS)
    await assert.rejects(() => lane, { code: 'lane-expired' })
    assert.equal(tickets.take(id), undefined)
  })

  it('are withdrawn by their signal, and limited in number', async () => {
    const tickets = new LaneTickets({ clock: manualClock(), random: systemRandom })
    const withdrawn = new AbortController()
    const { id, lane } = tickets.offer(withdrawn.signal)
    withdrawn.abort(new Error('no more'))
    await assert.rejects(() => lane, { message: 'no more' })
    assert.equal(tickets.take(id), undefined)
    const { signal } = new AbortController()
    const offers = Array.from({ length: TICKETS_MAX }, () => tickets.offer(signal))
    assert.throws(() => tickets.offer(signal), { code: 'lanes-exhausted' })
    tickets.close()
    await assert.rejects(() => offers[0]!.lane, { code: 'mesh-stopped' })
  })
})

function dial(port: number): Socket {
  const socket = createConnection(port, '127.0.0.1')
  socket.on('error', () => {})
  socket.resume()
  return socket
}

/** A clock whose timers fire when it is told to advance. */
function manualClock(): Clock & { advance: (ms: number) => void } {
  const timers = new Map<() => void, number>()
  let now = 0
  return {
    ...components.clock,
    now: () => now,
    after: (delayMs, run) => {
      timers.set(run, now + delayMs)
      return { cancel: () => { timers.delete(run) } }
    },
    advance: (ms) => {
      now += ms
      for (const [run, at] of [...timers]) {
        if (at > now) continue
        timers.delete(run)
        run()
      }
    },
  }
}
