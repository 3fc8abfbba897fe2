import assert from 'node:assert/strict'
import { fstatSync } from 'node:fs'

import { apartRefusal, meetOverQmp, passOnce } from '../../../src/guest/apart.ts'
import { canPassDescriptors, connectedPair } from '../../../src/page/index.ts'

const GUEST = { guest: 'web', pid: 7, directory: '/run/pagemesh' }
const ONE = { multifd: 0, preempt: false }

describe('a QEMU that does not see the agent\'s directory', () => {
  it('is handed over in pre-copy over one channel, where a descriptor can be passed', () => {
    assert.equal(apartRefusal(GUEST, { mode: 'precopy', beside: ONE }, true), undefined)
    for (const [mode, beside, canPass, why, otherwise] of [
      ['postcopy', ONE, true, 'a post-copy that was cut could not be resumed', 'Or use pre-copy.'],
      ['precopy', { multifd: 4, preempt: false }, true, 'it can take one channel and not 5', '--channels 1.'],
      ['precopy', ONE, false, 'this agent has no kernel add-on to pass it a connection', 'npm rebuild'],
    ] as const) {
      const refusal = apartRefusal(GUEST, { mode, beside }, canPass)
      assert.equal(refusal?.code, 'guest-apart')
      assert.ok(refusal.message.startsWith(
        'The QEMU of web (process 7) does not see /run/pagemesh, as in a container or after -chroot: '))
      assert.ok(refusal.message.endsWith(`${why}.`), refusal.message)
      assert.ok(refusal.advice?.includes(otherwise), refusal.advice)
    }
  })

  it('gets one end of a pair, and the agent has the other', async function () {
    if (!canPassDescriptors()) this.skip()
    const told: unknown[] = []
    let passed = -1
    const endpoint = await meetOverQmp({
      passDescriptor: async (name, fd) => {
        assert.ok(fstatSync(fd).isSocket())
        told.push(name)
        passed = fd
      },
    }, async (address) => told.push(address))
    assert.deepEqual(told, ['pagemesh', 'fd:pagemesh'])
    assert.throws(() => fstatSync(passed), { code: 'EBADF' })
    // QEMU, which is not here, would have the last descriptor of the other end.
    const ended = new Promise<void>((resolve) => endpoint.receive(() => {}, resolve))
    await ended
    endpoint.destroy()
    await endpoint.closed
  })

  it('leaves no connection behind if QEMU does not take its end, or does not begin', async function () {
    if (!canPassDescriptors()) this.skip()
    const refuses = async (): Promise<never> => { throw new Error('no') }
    await assert.rejects(meetOverQmp({ passDescriptor: refuses }, async () => {}), { message: 'no' })
    await assert.rejects(meetOverQmp({ passDescriptor: async () => {} }, refuses), { message: 'no' })
    await assert.rejects(passOnce({ passDescriptor: refuses }, 'x', connectedPair()[0]), { message: 'no' })
  })
})
