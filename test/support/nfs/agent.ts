/**
 * In a guest with NFS: starts an agent whose store is at STORE, and stops it: `agent.ts STORE`. Standard output is what
 * came of it, as one line of JSON.
 */
import { mkdtempSync, statfsSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'

import { createAgent, writeClusterKey, type AgentStatus } from '../../../src/index.ts'
import { silentLog } from '../../../src/runtime/log.ts'

export interface NfsAgentReport {
  /** What statfs(2) calls the file system of the store's parent. */
  fileSystem: number
  /** What it logged as errors. */
  errors: string[]
  /** Of its store; undefined if it did not start. */
  status: AgentStatus['store'] | undefined
  /** Why it did not start. */
  refusal: string | undefined
}

const [store = ''] = process.argv.slice(2)
const clusterKey = join(mkdtempSync(join(tmpdir(), 'nfs-')), 'cluster.key')
await writeClusterKey(clusterKey)
const errors: string[] = []
const agent = await createAgent({
  name: 'lone', clusterKey, listen: ['/ip4/127.0.0.1/tcp/0'], store: { path: store, maxBytes: 16 * 2 ** 20 },
}, {
  log: { ...silentLog, error: (message, details) => { errors.push(`${message}: ${String(details?.['error'])}`) } },
})
// Why it does not start is the answer.
const refusal = await agent.start().then(() => undefined, String)
const status = refusal === undefined ? agent.status().store : undefined
await agent.stop()
const report: NfsAgentReport = { fileSystem: statfsSync(dirname(store)).type, errors, status, refusal }
process.stdout.write(`${JSON.stringify(report)}\n`)
