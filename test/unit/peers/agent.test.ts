import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { writeClusterKey, type AgentOptions } from '../../../src/index.ts'

const AGENT = join(import.meta.dirname, '..', '..', '..', 'peers', 'agent.ts')
/** Starting Node takes far longer than the agent's work when the machine has other things to do. */
const TIMEOUT_MS = 60_000

describe('the peer that embeds an agent', function () {
  this.timeout(TIMEOUT_MS)

  it('runs from a file of options until SIGTERM', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'pm-peer-'))
    try {
      const clusterKey = join(folder, 'cluster.key')
      await writeClusterKey(clusterKey)
      const options: AgentOptions = {
        name: 'host-a', clusterKey, listen: ['/ip4/127.0.0.1/tcp/0'], lane: '127.0.0.1:0', store: { path: folder },
      }
      await writeFile(join(folder, 'agent.json'), JSON.stringify(options))
      const words = [AGENT, join(folder, 'agent.json')]
      const agent = spawn(process.execPath, words, { stdio: ['ignore', 'pipe', 'ignore'] })
      const [line] = await once(agent.stdout, 'data') as [Buffer]
      assert.match(line.toString(), /^host-a runs as \w+\n$/)
      agent.kill('SIGTERM')
      const [status] = await once(agent, 'exit') as [number | null]
      assert.equal(status, 0)
    } finally {
      await rm(folder, { recursive: true, force: true })
    }
  })
})
