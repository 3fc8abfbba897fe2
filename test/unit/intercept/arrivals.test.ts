/** Connections are led here by nobody: where they were meant to go is the kernel's word, and it has none of these. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'

import { Arrivals } from '../../../src/intercept/arrivals.ts'
import { Listeners } from '../../../src/intercept/listeners.ts'
import { LISTENER_PORTS } from '../../../src/intercept/ports.ts'
import { systemClock } from '../../../src/runtime/clock.ts'
import { silentLog } from '../../../src/runtime/log.ts'

describe('where intercepted connections arrive', () => {
  let listeners: Listeners
  let arrivals: Arrivals
  let carried = 0

  beforeEach(async () => {
    carried = 0
    arrivals = new Arrivals({
      clock: systemClock, log: silentLog,
      carry: async () => {
        carried++
        return undefined
      },
    }, { memberAt: () => 'b', onRefused: () => assert.fail('nobody was asked'), onOpenChange: () => {} })
    listeners = await Listeners.open((socket) => arrivals.accept(socket))
  })

  afterEach(() => {
    listeners.close()
    arrivals.stop()
  })

  it('is the loopback interface, and nothing else, at ports that are no manager\'s', () => {
    assert.equal(listeners.addresses[0]!.host, '127.64.0.1')
    assert.ok(listeners.addresses.every(({ host }) => host === '127.64.0.1' || host === '::1'))
    assert.ok(listeners.addresses.every(({ port }) => port >= LISTENER_PORTS.first && port <= LISTENER_PORTS.last))
    assert.equal(listeners.fds.length, listeners.addresses.length)
  })

  it('is another port where one is taken', async () => {
    const others = await Listeners.open((socket) => socket.destroy())
    try {
      assert.notEqual(others.addresses[0]!.port, listeners.addresses[0]!.port)
    } finally {
      others.close()
    }
  })

  it('who comes by himself is turned away, and no member hears of it', async () => {
    for (const address of listeners.addresses) {
      const socket: Socket = connect(address)
      const [error] = await once(socket, 'error') as [NodeJS.ErrnoException]
      assert.equal(error.code, 'ECONNRESET')
    }
    assert.deepEqual(arrivals.counts, { carried: 0, direct: 0, refused: listeners.addresses.length })
    assert.equal(arrivals.openCount, 0)
    assert.equal(carried, 0)
  })
})
