/**
 * An agent is told to stop in the middle of a post-copy: cut off, the guest would stand still, and its QEMU may not
 * even be reached again. It arrives first.
 */
import assert from 'node:assert/strict'

import { resultOf } from '../../testnet/index.ts'
import { untilSent } from './aim.ts'
import { travels } from './travels.ts'

const TEST_TIMEOUT_MS = 180_000

describe('a guest in post-copy, one of whose agents is told to stop', function () {
  this.timeout(TEST_TIMEOUT_MS)
  const made = travels({ kind: { work: 'random', memoryMiB: 128 } })

  for (const [stops, where] of [['a', 'source'], ['b', 'destination']] as const) {
    it(`arrives first, and the agent at the ${where} ends then`, async () => {
      const { hosts, guest } = made
      const { home, name } = guest
      const destination = await guest.waiting()
      await hosts.seen(home, destination)
      const moving = hosts.migrate('a', name, 'b', '--mode', 'postcopy', '--max-bandwidth', '100Mbit')
      await hosts.untilState(destination, 'running')
      assert.ok(await untilSent(home, 30, 'postcopy-active', moving), 'the move ended before its agent was stopped')
      const agent = hosts.cluster.agent(stops)
      const stopping = agent.stop()
      const result = resultOf(await moving)
      assert.deepEqual([result?.status, result?.arrivedState], ['completed', 'running'])
      await stopping
      assert.match(agent.log, /may arrive before the agent stops/)
      assert.equal(await destination.client.state(), 'running')
      await hosts.cluster.restartAgent(stops)
      await hosts.expectFree()
      await guest.restore()
    })
  }
})
