/**
 * Popularity over real libp2p: peers with synthetic guests on this machine's loopback, --together of them per process.
 * All are asked for their popular pages until they agree with exact counting.
 *
 *   npm run sim:peers -- [--peers 50] [--together 5] [--guests 20] [--pages 200] [--seed 1] [--json]
 *
 * Standard output has the figures, standard error the progress. Exit status: 0 all agree, 1 not, 2 wrong usage.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'

import type { SyntheticOptions } from '../../peers/synthetic.ts'
import { formatBytes, writeClusterKey, type AgentStatus } from '../../src/index.ts'
import { deriveKeys, readClusterKey } from '../../src/mesh/index.ts'
import { systemClock } from '../../src/runtime/clock.ts'
import { AGREEMENT_MIN } from './faults.ts'
import { PeerCount } from './peercount.ts'
import { PeerProcess, type PeerStatus } from './peerprocess.ts'

/** Time between scans, and so between reports; the model's pages change more slowly, so that a count stays valid. */
const INTERVAL_SECONDS = 15
const LOOK_SECONDS = 60
/** Processes that start at the same time: starting Node takes a CPU for seconds. */
const PROCESSES_AT_ONCE = 3
const ASK_EVERY_MS = 5_000
const CONVERGE_WITHIN_MS = 180_000
const QUIET_MS = 30_000
const EXIT = { done: 0, failed: 1, usage: 2 } as const

interface Flags {
  peers: number
  /** Peers per process: 50 processes would take two CPUs a minute to start. */
  together: number
  guests: number
  pages: number
  seed: number
}

interface PeersOutcome extends Flags {
  /** Of the worst peer, when last asked. */
  recall: number
  precision: number
  popularPages: number
  /** Peers whose recall and precision both reach AGREEMENT_MIN. */
  agreeing: number
  /** From the start of the last peer until all agreed; null: they did not. */
  convergedSeconds: number | null
  /**
   * A peer's mean and most. CPU and memory are its part of its process: CPU over its whole life, and in a quiet phase
   * as a share of one CPU.
   */
  perPeer: Record<'cpuSeconds' | 'quietCpuShare' | 'residentBytes' | 'reportSentBytes' | 'gossipSentBytes' |
    'gossipReceivedBytes', { mean: number; most: number }>
}

process.exitCode = await main()

async function main(): Promise<number> {
  const parsed = parseFlags()
  if (parsed === undefined) return EXIT.usage
  const { flags, isJson } = parsed
  const directory = await mkdtemp(join(tmpdir(), 'pm-peers-'))
  const processes: PeerProcess[] = []
  const stop = async (): Promise<void> => { await Promise.all(processes.map((one) => one.stop())) }
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => void stop())
  try {
    const outcome = await run(flags, directory, processes)
    process.stdout.write(`${isJson ? JSON.stringify(outcome) : describe(outcome)}\n`)
    return outcome.convergedSeconds === null ? EXIT.failed : EXIT.done
  } finally {
    await stop()
    await rm(directory, { recursive: true, force: true })
  }
}

async function run(flags: Flags, directory: string, processes: PeerProcess[]): Promise<PeersOutcome> {
  const clusterKey = join(directory, 'cluster.key')
  await writeClusterKey(clusterKey)
  const count = new PeerCount(flags, deriveKeys(await readClusterKey(clusterKey)).pageKey)
  const begunAt = systemClock.now()
  const say = (line: string): void => {
    process.stderr.write(`${((systemClock.now() - begunAt) / 1000).toFixed(1).padStart(6)} s  ${line}\n`)
  }
  const peers = optionsOf(flags, { clusterKey, directory, firstPort: await freePort() })
  const start = async (): Promise<void> => {
    while (peers.length > 0) processes.push(await PeerProcess.start(peers.splice(0, flags.together), directory))
  }
  // The first peer is the others' bootstrap peer.
  processes.push(await PeerProcess.start(peers.splice(0, flags.together), directory))
  await Promise.all(Array.from({ length: PROCESSES_AT_ONCE }, start))
  say(`${flags.peers} peers run in ${processes.length} processes`)
  const startedAt = systemClock.now()
  let agreement = { recall: 0, precision: 0, popularPages: 0, agreeing: 0 }
  let convergedSeconds: number | null = null
  while (convergedSeconds === null && systemClock.now() - startedAt < CONVERGE_WITHIN_MS) {
    await systemClock.sleep(ASK_EVERY_MS)
    agreement = await askAll(processes, count)
    say(`recall ${agreement.recall.toFixed(4)}, precision ${agreement.precision.toFixed(4)} on the worst peer, ` +
      `${agreement.agreeing} peers agree; ${describeViews(await statusOf(processes))}`)
    if (agreement.agreeing < flags.peers) continue
    convergedSeconds = (systemClock.now() - startedAt) / 1000
  }
  const before = await statusOf(processes)
  await systemClock.sleep(QUIET_MS)
  const after = await statusOf(processes)
  return { ...flags, ...agreement, convergedSeconds, perPeer: figures(before, after) }
}

function optionsOf(
  flags: Flags, { clusterKey, directory, firstPort }: { clusterKey: string; directory: string; firstPort: number },
): SyntheticOptions[] {
  return Array.from({ length: flags.peers }, (_, index) => ({
    agent: {
      name: `host-${index}`, clusterKey, listen: [`/ip4/127.0.0.1/tcp/${index === 0 ? firstPort : 0}`],
      lane: '127.0.0.1:0', bootstrap: index === 0 ? [] : [`/ip4/127.0.0.1/tcp/${firstPort}`],
      census: { intervalSeconds: INTERVAL_SECONDS }, store: { path: directory },
    },
    cluster: { seed: flags.seed, pagesPerGuest: flags.pages },
    firstGuest: index * flags.guests, guests: flags.guests, lookSeconds: LOOK_SECONDS,
  }))
}

/** The worst peer's agreement. One after the other: a request costs a peer more than its own work. */
async function askAll(processes: readonly PeerProcess[], count: PeerCount): Promise<{
  recall: number; precision: number; popularPages: number; agreeing: number
}> {
  count.look(LOOK_SECONDS)
  let recall = 1
  let precision = 1
  let agreeing = 0
  for (const one of processes) {
    for (const host of one.hosts) {
      const agreement = count.compare(await one.pages(host, count.pages * 2))
      recall = Math.min(recall, agreement.recall)
      precision = Math.min(precision, agreement.precision)
      if (Math.min(agreement.recall, agreement.precision) >= AGREEMENT_MIN) agreeing += 1
    }
  }
  return { recall, precision, popularPages: count.pages, agreeing }
}

/** Each peer's status, with its part of its process' resources. */
async function statusOf(processes: readonly PeerProcess[]): Promise<PeerStatus[]> {
  const statuses = await Promise.all(processes.map((one) => Promise.all(one.hosts.map(async (host) => {
    const { status, cpuSeconds, residentBytes } = await one.status(host)
    const peers = one.hosts.length
    return { status, cpuSeconds: cpuSeconds / peers, residentBytes: residentBytes / peers }
  }))))
  return statuses.flat()
}

/** The peers' views, for the progress: with empty views it shows whether hosts have found each other. */
function describeViews(statuses: readonly PeerStatus[]): string {
  const range = (value: (status: AgentStatus) => number): string => {
    const values = statuses.map(({ status }) => value(status))
    return `${Math.min(...values)} to ${Math.max(...values)}`
  }
  return `they have ${range(({ peers }) => peers.length)} members, ${range(({ popularity }) => popularity.pages)} pages`
}

function figures(before: readonly PeerStatus[], after: readonly PeerStatus[]): PeersOutcome['perPeer'] {
  const spread = (value: (peer: PeerStatus, index: number) => number): { mean: number; most: number } => {
    const values = after.map(value)
    return { mean: values.reduce((sum, one) => sum + one, 0) / values.length, most: Math.max(...values) }
  }
  return {
    cpuSeconds: spread(({ cpuSeconds }) => cpuSeconds),
    quietCpuShare: spread(({ cpuSeconds }, index) => (cpuSeconds - before[index]!.cpuSeconds) / (QUIET_MS / 1000)),
    residentBytes: spread(({ residentBytes }) => residentBytes),
    reportSentBytes: spread(({ status }) => status.traffic.report.sentBytes),
    gossipSentBytes: spread(({ status }) => status.traffic.gossip.sentBytes),
    gossipReceivedBytes: spread(({ status }) => status.traffic.gossip.receivedBytes),
  }
}

function describe(outcome: PeersOutcome): string {
  const { perPeer, convergedSeconds } = outcome
  const row = (name: string, key: keyof PeersOutcome['perPeer'], format: (value: number) => string): string =>
    `  ${name.padEnd(28)} ${format(perPeer[key].mean).padStart(10)} ${format(perPeer[key].most).padStart(10)}`
  return [
    `${outcome.peers} peers, ${outcome.together} a process, ${outcome.guests} guests of ${outcome.pages} pages each, ` +
      `seed ${outcome.seed}`,
    convergedSeconds === null ? 'did not converge'
      : `converged ${convergedSeconds.toFixed(0)} s after the last had started`,
    `worst peer: recall ${outcome.recall.toFixed(4)}, precision ${outcome.precision.toFixed(4)}, ` +
      `of ${outcome.popularPages} pages`,
    `  ${'a peer'.padEnd(28)} ${'mean'.padStart(10)} ${'most'.padStart(10)}`,
    row('CPU since its start', 'cpuSeconds', (value) => `${value.toFixed(1)} s`),
    row('CPU while all is quiet', 'quietCpuShare', (value) => `${(value * 100).toFixed(1)} %`),
    row('resident memory', 'residentBytes', formatBytes),
    row('reports sent', 'reportSentBytes', (value) => formatBytes(Math.round(value))),
    row('gossip sent', 'gossipSentBytes', (value) => formatBytes(Math.round(value))),
    row('gossip received', 'gossipReceivedBytes', (value) => formatBytes(Math.round(value))),
  ].join('\n')
}

async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => { server.listen(0, '127.0.0.1', resolve) })
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => { server.close(resolve) })
  return port
}

function parseFlags(): { flags: Flags; isJson: boolean } | undefined {
  try {
    const { values } = parseArgs({
      options: {
        peers: { type: 'string', default: '50' }, together: { type: 'string', default: '5' },
        guests: { type: 'string', default: '20' }, pages: { type: 'string', default: '200' },
        seed: { type: 'string', default: '1' },
        json: { type: 'boolean', default: false },
      },
    })
    const { json, ...words } = values
    const flags = {
      peers: Number(words.peers), together: Number(words.together), guests: Number(words.guests),
      pages: Number(words.pages), seed: Number(words.seed),
    }
    if (Object.values(flags).every((value) => Number.isInteger(value) && value >= 1)) return { flags, isJson: json }
    process.stderr.write('Expected whole numbers above 0.\n')
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`)
  }
  process.stderr.write(
    'Usage: npm run sim:peers -- [--peers 50] [--together 5] [--guests 20] [--pages 200] [--seed 1] [--json]\n')
  return undefined
}
