import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import type { Right } from '../src/host/rights.ts'
import { systemClock } from '../src/runtime/clock.ts'
import {
  configOf, createLabKey, runCli, startAgent, type AgentOptions, type CommandOutcome, type LabAgent,
} from './agent.ts'
import { LabError } from './laberror.ts'
import { createNetwork, type LabHost, type LabNetwork } from './machine/network.ts'
import { startGuest, stateOf, type GuestOptions, type LabGuest } from './machine/qemu.ts'
import { waitFor } from './wait.ts'

const SCAN_TIMEOUT_MS = 120_000

export interface ClusterOptions {
  hosts: readonly string[]
  /** Rate of every link each way, bytes a second; absent: unlimited. */
  bytesPerSecond?: number
  /** Further configuration of every agent. */
  settings?: Record<string, unknown>
  /** Capabilities of every agent's service beyond the unit's own. */
  rights?: readonly Right[]
  /** Starts no agent: `restartAgent` starts each later. */
  withoutAgents?: boolean
}

/** Hosts with an agent each, and the guests started on them. `close` removes everything. */
export interface LabCluster {
  readonly network: LabNetwork
  readonly directory: string
  /** Path of the agents' common key. */
  readonly clusterKey: string
  /** The agent of a host; a new one after `restartAgent`. */
  agent(host: string): LabAgent
  /** Starts the agent of a host without a running one; with further configuration, after the words `within`. */
  restartAgent(host: string, settings?: Record<string, unknown>, within?: readonly string[]): Promise<LabAgent>
  /**
   * Brings a host in as an operator does, `pagemesh invite` on another and `pagemesh join` there, and starts its agent.
   * Throws LabError `lab-command-failed`.
   */
  join(host: string, inviter: string): Promise<LabAgent>
  /** Starts a guest on a host, among the guests of its agent. */
  startGuest(host: string, options: Omit<GuestOptions, 'directory' | 'host'>): Promise<LabGuest>
  /** Resolves when every agent that was started sees all others and has scanned all guests that run. */
  settled(): Promise<void>
  close(): Promise<void>
}

/** Makes network, key and agents. A failed start removes what it had started. */
export async function createCluster(options: ClusterOptions): Promise<LabCluster> {
  const { hosts, bytesPerSecond } = options
  // A socket's path holds 107 bytes: keep this one short. Named like our namespaces, so that leftovers of a run that
  // was killed can be recognised.
  const directory = mkdtempSync(join(tmpdir(), `pm-${process.pid}-`))
  const network = await createNetwork({ hosts, ...(bytesPerSecond === undefined ? {} : { bytesPerSecond }) })
  const cluster = new RunningCluster(options, network, directory)
  try {
    await cluster.build()
    return cluster
  } catch (error) {
    await cluster.close()
    throw error
  }
}

class RunningCluster implements LabCluster {
  readonly network: LabNetwork
  readonly directory: string
  readonly #options: ClusterOptions
  readonly #agents = new Map<string, LabAgent>()
  readonly #guests: LabGuest[] = []
  #clusterKey = ''

  constructor(options: ClusterOptions, network: LabNetwork, directory: string) {
    this.#options = options
    this.network = network
    this.directory = directory
  }

  get clusterKey(): string {
    return this.#clusterKey
  }

  async build(): Promise<void> {
    this.#clusterKey = await createLabKey(this.directory)
    if (this.#options.withoutAgents === true) return
    for (const host of this.#options.hosts) await this.restartAgent(host)
  }

  agent(host: string): LabAgent {
    return this.#agents.get(host)!
  }

  async restartAgent(
    hostName: string, settings?: Record<string, unknown>, within: readonly string[] = [],
  ): Promise<LabAgent> {
    const host = this.network.host(hostName)
    const first = this.network.hosts[0] as LabHost
    const bootstrap = host === first ? this.network.hosts.slice(1, 2) : [first]
    return await this.#start(hostName, { clusterKey: this.#clusterKey, bootstrap }, settings, within)
  }

  async join(hostName: string, inviter: string): Promise<LabAgent> {
    const invited = await this.agent(inviter).command('invite', '--json')
    const { token, address } = successOf<{ token: string; address: string }>('invite', invited)
    const config = configOf(join(this.directory, hostName))
    const words = ['join', address, token, '--config', config, '--name', hostName, '--json']
    successOf('join', await runCli(this.network.host(hostName), words))
    return await this.#start(hostName, 'joined')
  }

  async #start(
    hostName: string, mesh: AgentOptions['mesh'], settings?: Record<string, unknown>, within: readonly string[] = [],
  ): Promise<LabAgent> {
    const agent = await startAgent({
      host: this.network.host(hostName),
      directory: join(this.directory, hostName),
      guestDirectory: this.#guestDirectory(hostName),
      mesh,
      settings: { census: { intervalSeconds: 15 }, ...this.#options.settings, ...settings },
      rights: this.#options.rights ?? [],
      within,
    })
    this.#agents.set(hostName, agent)
    return agent
  }

  async startGuest(host: string, options: Omit<GuestOptions, 'directory' | 'host'>): Promise<LabGuest> {
    const guest = await startGuest({ ...options, directory: this.#guestDirectory(host), host: this.network.host(host) })
    this.#guests.push(guest)
    return guest
  }

  async settled(): Promise<void> {
    const peers = this.#agents.size - 1
    await Promise.all([...this.#agents.values()].map((agent) => agent.settled(peers)))
    for (const guest of this.#guests) await this.#scanned(guest)
  }

  /** To its agent a guest that just arrived is a waiting one until the next scan: `settled` does not cover it. */
  async #scanned(guest: LabGuest): Promise<void> {
    // One that has ended is not to be scanned any more.
    const state = await stateOf(guest).catch(() => undefined)
    if (state !== 'running' || guest.host === undefined) return
    const agent = this.agent(guest.host.name)
    await waitFor(async () => {
      const known = (await agent.status()).guests.find(({ name }) => name === guest.name)
      return known?.state === 'running' && known.distinctPages > 0 ? true : undefined
    }, { clock: systemClock, what: `guest ${guest.name} to be scanned`, timeoutMs: SCAN_TIMEOUT_MS, pauseMs: 200 })
  }

  async close(): Promise<void> {
    await Promise.all([...this.#agents.values()].map((agent) => agent.stop()))
    await Promise.all(this.#guests.map((guest) => guest.stop()))
    await this.network.close()
    rmSync(this.directory, { recursive: true, force: true })
  }

  #guestDirectory(host: string): string {
    return join(this.directory, host, 'guests')
  }
}

function successOf<Answer>(command: string, { status, output, errors }: CommandOutcome): Answer {
  if (status !== 0) throw new LabError('lab-command-failed', `pagemesh ${command} (${status}): ${errors}`)
  return JSON.parse(output) as Answer
}
