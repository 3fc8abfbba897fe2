/**
 * A host with guests that exist in arithmetic alone, for trying a mesh at scale: `node synthetic.ts synthetic.json`, the
 * file holding SyntheticOptions. Says one line when it runs, then answers each line of standard input with one of JSON:
 *
 *   status     -> {"status": AgentStatus, "cpuSeconds": n, "residentBytes": n}
 *   pages N    -> {"pages": [...]}, at most N
 *
 * Ends at SIGTERM.
 */
import { readFile } from 'node:fs/promises'
import { createInterface } from 'node:readline'

import { createAgent, createLog, systemClock, type Agent, type AgentOptions } from '../src/index.ts'
import { SyntheticCluster, type ClusterInit } from './model.ts'
import { SyntheticMemory } from './syntheticmemory.ts'

export interface SyntheticOptions {
  agent: AgentOptions
  cluster: ClusterInit
  /** Numbers of this host's guests in the cluster: from `firstGuest`, so many. */
  firstGuest: number
  guests: number
  /** Seconds between two looks of the model: how fast pages change. */
  lookSeconds: number
}

const options = JSON.parse(await readFile(process.argv[2] ?? 'synthetic.json', 'utf8')) as SyntheticOptions
const agent = await createAgent(options.agent, { log: createLog('warn') })
process.once('SIGTERM', () => void agent.stop())

const cluster = new SyntheticCluster(options.cluster)
await agent.start()
for (let index = options.firstGuest; index < options.firstGuest + options.guests; index++) {
  const components = { clock: systemClock, guest: cluster.guestOf(index) }
  agent.addGuest(new SyntheticMemory(components, { name: `guest-${index}`, lookMs: options.lookSeconds * 1000 }))
}
const { host, peerId } = agent.status()
console.log(`${host} runs as ${peerId}`)

const requests = createInterface({ input: process.stdin })
requests.on('line', (line) => console.log(JSON.stringify(answer(agent, line))))
await agent.ended
requests.close()
process.stdin.destroy()

function answer(from: Agent, request: string): object {
  const [what, count] = request.trim().split(' ')
  if (what === 'pages') return { pages: from.pages(Number(count)) }
  if (what !== 'status') return { error: `unknown request: ${request}` }
  const { user, system } = process.cpuUsage()
  return { status: from.status(), cpuSeconds: (user + system) / 1e6, residentBytes: process.memoryUsage.rss() }
}
