/**
 * Hosts that join the mesh and leave it again, one after the other, each a whole agent: `joinsprocess.ts SETTINGS`, as
 * JSON. Each message from the parent is a number of joins; the answer is how long they took, or an error.
 */
import { createAgent } from '../../src/index.ts'
import { systemClock } from '../../src/runtime/clock.ts'
import { waitFor } from '../../testnet/index.ts'

export interface JoinsSettings {
  clusterKey: string
  address: string
  bootstrap: string[]
  /** Members to be seen before it leaves. */
  members: number
  directory: string
}

export type JoinsAnswer = { error: string } | { count: number; longestMs: number }

/** Names that come back, with their identities. */
const NAMES = 8
/** Every so many-th host was never there before. */
const NEW_EVERY = 10
const JOIN_MS_MAX = 30_000
const settings = JSON.parse(process.argv[2]!) as JoinsSettings
let joined = 0

process.on('message', (count: number) => {
  // Its own errors are the answer.
  void joinAndLeave(count).then((answer) => process.send!(answer))
})
process.on('disconnect', () => process.exit())

async function joinAndLeave(count: number): Promise<JoinsAnswer> {
  let longestMs = 0
  try {
    for (let time = 0; time < count; time++) longestMs = Math.max(longestMs, await visit(joined++))
    return { count, longestMs }
  } catch (error) {
    return { error: String(error) }
  }
}

async function visit(number: number): Promise<number> {
  const { clusterKey, address, bootstrap, members, directory } = settings
  const name = number % NEW_EVERY === 0 ? `new-${number}` : `visitor-${number % NAMES}`
  const startedAt = performance.now()
  const agent = await createAgent({
    name, clusterKey, listen: [`/ip4/${address}/tcp/0`], bootstrap,
    store: { path: `${directory}/${name}`, maxBytes: 0 },
  })
  try {
    await agent.start()
    await waitFor(() => agent.status().peers.length >= members ? true : undefined, {
      clock: systemClock, what: `${name} to see ${members} members`, timeoutMs: JOIN_MS_MAX, pauseMs: 5,
    })
    return performance.now() - startedAt
  } finally {
    await agent.stop()
  }
}
