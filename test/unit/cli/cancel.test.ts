import assert from 'node:assert/strict'

import type { HandoffResult } from '../../../src/index.ts'
import { resultOf } from '../../support/fakeagent.ts'
import { COMMAND_MS_MAX, type Finished } from '../../support/pagemesh.ts'
import { serveAgent } from './servedagent.ts'

const MOVE = { guest: 'web-1', to: 'host-b', mode: 'precopy' } as const

describe('pagemesh cancel', function () {
  this.timeout(COMMAND_MS_MAX)
  const served = serveAgent()

  /** Cancels a handoff that ends in this way whatever is asked. */
  async function cancelOf(result: HandoffResult, ...flags: string[]): Promise<Finished> {
    const { agent } = served
    agent.isCancellable = result.status === 'cancelled'
    // The agent keeps what is asked of it, so that nobody need wait for this one.
    const handoff = agent.migrate(MOVE)
    agent.handoffs[0]!.outcome.resolve(result)
    await handoff
    return await served.run('cancel', 'web-1', ...flags).finished
  }

  it('exits 0 only when the handoff was cancelled', async () => {
    const result = resultOf(MOVE, 'cancelled', 'Cancelled.')
    const { status, stdout, stderr } = await cancelOf(result, '--json')
    assert.deepEqual([status, stderr], [0, ''])
    assert.deepEqual(JSON.parse(stdout), { guest: 'web-1', status: 'cancelled', reason: 'Cancelled.', result })
  })

  it('says that it came too late, where the guest is, and exits 1', async () => {
    assert.deepEqual(await cancelOf(resultOf(MOVE, 'completed')), {
      status: 1, stdout: '', stderr: 'pagemesh: Too late: web-1 has moved to host-b.\n',
    })
  })

  it('says how a guest arrived that does not run', async () => {
    const result = { ...resultOf(MOVE, 'completed'), arrivedState: 'paused', downtimeMs: null } as const
    const { status, stdout, stderr } = await cancelOf(result, '--json')
    assert.equal(status, 1)
    assert.deepEqual(JSON.parse(stdout), { guest: 'web-1', status: 'too-late', result })
    assert.equal(stderr, 'pagemesh: Too late: web-1 has moved to host-b. It arrived paused, as it was at the source.\n')
  })

  it('says that the handoff failed by itself, in words that change no terminal, and exits 1', async () => {
    const { status, stdout, stderr } = await cancelOf(resultOf(MOVE, 'failed', 'It \u001B[2Jbroke.'))
    assert.deepEqual([status, stdout], [1, ''])
    assert.equal(stderr, 'pagemesh: Not cancelled: the handoff of web-1 to host-b failed. It \\u001b[2Jbroke.\n')
  })
})
