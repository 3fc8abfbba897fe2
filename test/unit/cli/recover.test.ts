import assert from 'node:assert/strict'

import { resultOf } from '../../support/fakeagent.ts'
import { COMMAND_MS_MAX, pagemesh } from '../../support/pagemesh.ts'
import { serveAgent } from './servedagent.ts'

const MOVE = { guest: 'web-1', to: 'host-b', mode: 'postcopy' } as const

describe('pagemesh recover', function () {
  this.timeout(COMMAND_MS_MAX)
  const served = serveAgent()

  it('shows progress, then the summary of the whole handoff', async () => {
    const command = served.run('recover', 'web-1')
    await command.saysOnStderr(/^web-1 -> host-b  41 % /)
    served.agent.handoffs[0]!.outcome.resolve(resultOf(MOVE, 'completed'))
    const { status, stdout } = await command.finished
    assert.equal(status, 0)
    assert.match(stdout, /^web-1 moved from host-a to host-b \(postcopy\) in 2\.10 s, down for 80 ms\./)
    assert.deepEqual(served.agent.calls, ['recover'])
  })

  it('that failed exits 1, says why in words that change no terminal, and is one object', async () => {
    const failed = resultOf(MOVE, 'failed', 'host-b does \u009B1mnot answer.')
    served.agent.onMigrate = ({ outcome }) => outcome.resolve(failed)
    const { status, stdout, stderr } = await served.run('recover', 'web-1', '--json').finished
    assert.equal(status, 1)
    assert.doesNotMatch(stdout, /\u009B/)
    assert.deepEqual(JSON.parse(stdout), failed)
    const words = 'pagemesh: The handoff of web-1 to host-b failed: host-b does \\u009b1mnot answer.\n'
    assert.ok(stderr.endsWith(words), stderr)
  })

  it('that nothing waits for names no destination', async () => {
    served.agent.onMigrate = ({ outcome }) => outcome.resolve(resultOf({ ...MOVE, to: '' }, 'failed', 'None waits.'))
    const { stderr } = await served.run('recover', 'web-1').finished
    assert.ok(stderr.endsWith('pagemesh: The handoff of web-1 failed: None waits.\n'), stderr)
  })

  it('asks to cancel at Ctrl-C, waits for what becomes of it, and exits 130', async () => {
    const command = served.run('recover', 'web-1')
    await command.saysOnStderr(/precopy/)
    command.process.kill('SIGINT')
    const { status, stderr } = await command.finished
    assert.equal(status, 130)
    assert.match(stderr, /Asked to cancel; QEMU decides.*\n.*was cancelled: Cancelled\.\n/s)
  })

  it('of what the agent refuses is one object too', async () => {
    await served.agent.stop()
    served.agent.recover = () => { throw new Error('nothing to recover') }
    const { status, stdout, stderr } = await served.run('recover', 'web-1', '--json').finished
    assert.equal(status, 1)
    assert.equal(stderr, 'pagemesh: nothing to recover See the log of the agent.\n')
    const { reason, ...object } = JSON.parse(stdout) as { reason: string }
    assert.deepEqual(object, { guest: 'web-1', status: 'failed', code: 'unexpected' })
    assert.match(reason, /nothing to recover/)
  })

  it('without an agent exits 1', async () => {
    const { status, stderr } = await pagemesh('recover', 'web-1', '--control', `${served.path}.not`)
    assert.equal(status, 1)
    assert.match(stderr, /^pagemesh: No agent answers at /)
  })
})
