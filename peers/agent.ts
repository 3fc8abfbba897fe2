/** A host's agent inside your own program: `node agent.ts agent.json`; the file holds AgentOptions. */
import { readFile } from 'node:fs/promises'

import { createAgent, createLog, type AgentOptions } from '../src/index.ts'

const options = JSON.parse(await readFile(process.argv[2] ?? 'agent.json', 'utf8')) as AgentOptions
const agent = await createAgent(options, { log: createLog('info') })
// Never rejects: errors on stopping are logged.
process.once('SIGTERM', () => void agent.stop())

await agent.start()
const { host, peerId } = agent.status()
console.log(`${host} runs as ${peerId}`)
// Rejects if another host takes the name; resolves when the agent has stopped.
await agent.ended
