import assert from 'node:assert/strict'

import type { EvacuatedGuest, EvacuationNews } from '../../../src/index.ts'
import { progressOf, resultOf } from '../../support/fakeagent.ts'
import { COMMAND_MS_MAX } from '../../support/pagemesh.ts'
import { serveAgent } from './servedagent.ts'

const MOVE = { guest: 'web-1', to: 'host-b' }
const GONE: EvacuatedGuest = { guest: 'web-1', to: 'host-b', status: 'completed', result: resultOf(MOVE, 'completed') }
const STAYED: EvacuatedGuest = {
  guest: 'db', to: null, status: 'failed', code: 'no-waiting-guest', reason: 'No QEMU named \u001Bdb waits elsewhere.',
}

describe('pagemesh evacuate', function () {
  this.timeout(COMMAND_MS_MAX)
  const served = serveAgent()

  it('says what became of each guest, and exits 1 if one has stayed', async () => {
    served.agent.evacuation = async (_signal, onNews) => {
      onNews(progressOf(MOVE))
      onNews({ event: 'evacuated', done: 1, total: 2, ...GONE } satisfies EvacuationNews)
      onNews({ event: 'evacuated', done: 2, total: 2, ...STAYED } satisfies EvacuationNews)
      return { status: 'failed', guests: [GONE, STAYED] }
    }
    const { status, stdout, stderr } = await served.run('evacuate', '--to', 'host-b, host-c').finished
    assert.equal(status, 1)
    assert.match(stdout, /^1 of 2 guests left host-a in 1\.50 s, 2\.0 kB on the wire\.\n/)
    assert.match(stdout, /\n {2}db has stayed: No QEMU named \\u001bdb/)
    assert.match(stderr, /web-1 -> host-b/)
    assert.match(stderr, /1 of 2 {2}web-1 +went to host-b/)
    assert.match(stderr, /2 of 2 {2}db has stayed/)
  })

  it('prints one object, and exits 0 when all have left', async () => {
    served.agent.evacuation = async () => ({ status: 'completed', guests: [GONE] })
    const { status, stdout } = await served.run('evacuate', '--json').finished
    assert.equal(status, 0)
    const { status: said, guests } = JSON.parse(stdout) as { status: string; guests: EvacuatedGuest[] }
    assert.deepEqual([said, guests], ['completed', [JSON.parse(JSON.stringify(GONE))]])
  })

  it('says that there is no guest', async () => {
    assert.deepEqual(await served.run('evacuate').finished, {
      status: 0, stdout: 'There is no guest on host-a.\n', stderr: '',
    })
  })

  it('stops beginning at Ctrl-C, waits for what moves, and exits 130', async () => {
    served.agent.evacuation = async (signal, onNews) => {
      onNews(progressOf(MOVE))
      await new Promise((resolve) => { signal!.addEventListener('abort', resolve) })
      return { status: 'cancelled', guests: [GONE, { ...STAYED, status: 'cancelled' }] }
    }
    const command = served.run('evacuate')
    await command.saysOnStderr(/web-1 -> host-b/)
    command.process.kill('SIGINT')
    const { status, stderr } = await command.finished
    assert.equal(status, 130)
    assert.match(stderr, /No further guest begins\. Waiting for those that move/)
  })

  it('refuses what is no number of guests or no name', async () => {
    for (const words of [['--parallel', '0'], ['--to', ',']]) {
      assert.equal((await served.run('evacuate', ...words).finished).status, 2)
    }
  })
})
