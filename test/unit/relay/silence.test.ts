import assert from 'node:assert/strict'

import { systemClock } from '../../../src/runtime/clock.ts'
import { VirtualClock } from '../../support/time.ts'
import { Hosts } from './hosts.ts'

describe('a relayed connection that says nothing', () => {
  it('is dialled for, and kept for as long as both want it', async () => {
    const clock = new VirtualClock()
    const hosts = await new Hosts({ clock }).start()
    /** Sockets are real, and time is not: both have to go on. */
    const pass = async (ms: number): Promise<void> => {
      for (let passed = 0; passed < ms; passed += 500) {
        await clock.run(clock.now() + 500)
        await systemClock.sleep(2)
      }
    }
    try {
      const { qemu, carried } = hosts.connect()
      await pass(2000)
      await carried
      await pass(90_000)
      assert.deepEqual([hosts.arrived.length, hosts.arrived[0]!.hasEnded()], [1, false])
      assert.deepEqual([hosts.outgoing.running().length, hosts.incoming.running().length], [1, 1])
      qemu.write(Buffer.from('late'))
      await pass(2000)
      assert.equal(hosts.arrived[0]!.bytes().toString(), 'late')
      hosts.arrived[0]!.socket.end()
      qemu.endpoint.end()
      await pass(1000)
      assert.equal(hosts.results[0]?.code, 'not-understood')
      assert.deepEqual([hosts.outgoing.running(), hosts.incoming.running()], [[], []])
    } finally {
      await hosts.stop()
    }
  })
})
