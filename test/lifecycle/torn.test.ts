/**
 * The source QEMU dies in the middle of post-copy: part of the guest's memory is nowhere. The agents say so, and
 * nothing is left once the operator has ended the QEMU that has the other part.
 */
import assert from 'node:assert/strict'

import { systemClock } from '../../src/runtime/clock.ts'
import { waitFor } from '../../testnet/index.ts'
import { untilSent } from './aim.ts'
import { travels } from './travels.ts'

const TEST_TIMEOUT_MS = 180_000
const WAIT_MS = 60_000

describe('a guest whose source QEMU dies during post-copy', function () {
  this.timeout(TEST_TIMEOUT_MS)
  const made = travels({ kind: { work: 'random', memoryMiB: 128 } })

  it('is said to be lost where the other part of it is, and leaves nothing once that is ended', async () => {
    const { hosts, guest } = made
    const { home, name } = guest
    const destination = await guest.waiting()
    await hosts.seen(home, destination)
    await home.tellEvents()
    const moving = hosts.migrate('a', name, 'b', '--mode', 'postcopy', '--max-bandwidth', '100Mbit')
    await hosts.untilState(destination, 'running')
    assert.ok(await untilSent(home, 50, 'postcopy-active', moving), 'the move ended before its source died')
    await home.guest.stop()
    assert.equal((await moving).status, 1)
    const held = await waitFor(async () => {
      const found = (await hosts.status('b')).held?.find((each) => each.guest === name)
      return found?.why.includes('has ended') === true ? found : undefined
    }, { clock: systemClock, what: 'b to hear that the source QEMU has ended', timeoutMs: WAIT_MS, pauseMs: 200 })
    assert.match(held.why, /^The source QEMU has ended during post-copy\. .* is lost\. End this QEMU as well\.$/)
    const { output: status } = await hosts.cluster.agent('b').command('status')
    assert.match(status.replace(/\s+/g, ' '), /Its QEMU at a has ended, and the rest of its memory with it\./)
    for (const decision of ['--run', '--end']) {
      const settled = await hosts.cluster.agent('b').command('settle', name, decision, '--yes')
      assert.equal(settled.status, 1)
      assert.match(settled.errors, /the guest is lost\. End this QEMU as well/)
    }
    assert.ok(destination.client.isOpen, 'an agent ends no guest that was let run')
    await destination.guest.stop()
    await destination.client.gone
    await hosts.expectFree()
    await guest.restore()
  })
})
