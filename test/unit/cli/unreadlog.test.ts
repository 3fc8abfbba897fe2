import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, mkdtempSync, openSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

import { askAgent } from '../../../src/daemon/control/index.ts'
import { writeClusterKey, type AgentStatus } from '../../../src/index.ts'
import { systemClock } from '../../../src/runtime/clock.ts'
import { waitFor } from '../../../testnet/index.ts'
import { hungReader } from '../../support/hungreader.ts'
import { COMMAND_MS_MAX } from '../../support/pagemesh.ts'

const MAIN = new URL('../../../src/cli/main.ts', import.meta.url).pathname

describe('an agent whose log nobody takes', function () {
  this.timeout(COMMAND_MS_MAX)
  const folder = mkdtempSync('/tmp/pm-unread-')

  before(() => writeClusterKey(join(folder, 'key')))
  after(() => rmSync(folder, { recursive: true }))

  /** Runs an agent that logs all that it does to `stderr`, lets it answer, and ends it; its exit status. */
  async function live(name: string, stderr: number): Promise<number | null> {
    const control = join(folder, name, 'control.sock')
    const config = join(folder, `${name}.yaml`)
    writeFileSync(config, JSON.stringify({
      name, clusterKey: join(folder, 'key'), listen: ['/ip4/127.0.0.1/tcp/0'], control,
      store: { path: join(folder, name, 'store'), maxBytes: '1MiB' },
    }))
    const agent = spawn(process.execPath, [MAIN, 'agent', '--config', config, '--log-level', 'debug'], {
      stdio: ['ignore', 'ignore', stderr],
    })
    const ended = once(agent, 'exit') as Promise<[number | null]>
    const status = await waitFor(async () => {
      assert.equal(agent.exitCode, null)
      // Until it listens.
      return askAgent<AgentStatus>({ path: control, request: { command: 'status' } }).catch(() => undefined)
    }, { clock: systemClock, what: 'its answer', timeoutMs: COMMAND_MS_MAX, pauseMs: 50 })
    assert.equal(status.host, name)
    agent.kill('SIGTERM')
    return (await ended)[0]
  }

  it('works and ends as ever when the disk is full', async () => {
    const full = openSync('/dev/full', 'w')
    assert.equal(await live('full', full), 0)
    closeSync(full)
  })

  it('works and ends as ever when the reader hangs', async () => {
    const reader = hungReader(join(folder, 'pipe'), { isFull: true })
    assert.equal(await live('hung', reader.fd), 0)
    reader.close()
  })
})
