/**
 * Hosts with computed guests, for testing a mesh at scale: `node synthetic.ts a.json b.json`; each file holds the
 * SyntheticOptions of one host. Prints a line for each host when it runs, then answers each line of standard input with
 * one of JSON:
 *
 *   host-a status     -> {"status": AgentStatus, "cpuSeconds": n, "residentBytes": n}, the last two of the process
 *   host-a pages N    -> {"pages": [...]}, at most N
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
  /** Numbers of this host's guests in the cluster: `guests` numbers from `firstGuest` on. */
  firstGuest: number
  guests: number
  /** Seconds between two looks of the model: how fast pages change. */
  lookSeconds: number
}

const agents = new Map<string, Agent>()
process.once('SIGTERM', () => {
  // Never rejects: errors on stopping are logged.
  for (const agent of agents.values()) void agent.stop()
})
await Promise.all(process.argv.slice(2).map(async (path) => {
  const agent = await run(JSON.parse(await readFile(path, 'utf8')) as SyntheticOptions)
  const { host, peerId } = agent.status()
  agents.set(host, agent)
  console.log(`${host} runs as ${peerId}`)
}))

const requests = createInterface({ input: process.stdin })
requests.on('line', (line) => console.log(JSON.stringify(answer(line))))
await Promise.all([...agents.values()].map(({ ended }) => ended))
requests.close()
process.stdin.destroy()

async function run(options: SyntheticOptions): Promise<Agent> {
  const cluster = new SyntheticCluster(options.cluster)
  const agent = await createAgent(options.agent, { log: createLog('error') })
  await agent.start()
  for (let index = options.firstGuest; index < options.firstGuest + options.guests; index++) {
    const components = { clock: systemClock, guest: cluster.guestOf(index) }
    agent.addGuest(new SyntheticMemory(components, { name: `guest-${index}`, lookMs: options.lookSeconds * 1000 }))
  }
  return agent
}

function answer(request: string): object {
  const [host = '', what, count] = request.trim().split(' ')
  const agent = agents.get(host)
  if (what === 'pages' && agent !== undefined) return { pages: agent.pages(Number(count)) }
  if (what !== 'status' || agent === undefined) return { error: `unknown request: ${request}` }
  const { user, system } = process.cpuUsage()
  return { status: agent.status(), cpuSeconds: (user + system) / 1e6, residentBytes: process.memoryUsage.rss() }
}
