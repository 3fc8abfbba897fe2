import { askAgent } from '../../src/daemon/control/index.ts'
import type { HandoffResult } from '../../src/index.ts'
import { createCluster, type LabCluster, type LabGuest } from '../../testnet/index.ts'
import { memoryDigest } from '../support/memorydigest.ts'
import { HOSTS, nextHost, probedEnvironment, type HostName, type MonthHosts, type Outside } from './hosts.ts'

const TINY = { name: 'tiny', system: 'firmware', work: 'idle', memoryMiB: 16 } as const
const PORTS = { mesh: 4001, lane: 4002 }
const MOVE_MS_MAX = 60_000
const LOG_CHARACTERS_SHOWN = 2000

/** Agents as in their service, on hosts that are namespaces, and a tiny guest on real QEMU. */
export class RealHosts implements MonthHosts {
  readonly #cluster: LabCluster
  readonly outside: Record<'visitors' | 'strangers', Outside>
  readonly bootstrap: string[]
  readonly doors: { host: string; port: number }[]
  #guest: LabGuest | undefined
  #home: HostName = HOSTS[0]

  static async create(): Promise<RealHosts> {
    const hosts = new RealHosts(await createCluster({
      hosts: [...HOSTS, 'visitors', 'strangers'], withoutAgents: true,
      settings: { census: { intervalSeconds: 10 }, store: { maxBytes: 16 * 2 ** 20 } },
    }))
    try {
      await hosts.#build()
      return hosts
    } catch (error) {
      await hosts.close()
      throw error
    }
  }

  private constructor(cluster: LabCluster) {
    this.#cluster = cluster
    const outside = (name: string): Outside => this.#cluster.network.host(name)
    this.outside = { visitors: outside('visitors'), strangers: outside('strangers') }
    const addresses = HOSTS.map((host) => cluster.network.host(host).address)
    this.bootstrap = addresses.map((address) => `/ip4/${address}/tcp/${PORTS.mesh}`)
    this.doors = addresses.flatMap((host) => Object.values(PORTS).map((port) => ({ host, port })))
  }

  async #build(): Promise<void> {
    const before = { ...process.env }
    Object.assign(process.env, probedEnvironment(this.directory))
    try {
      for (const host of HOSTS) await this.#cluster.restartAgent(host)
    } finally {
      process.env = before
    }
    this.#guest = await this.#cluster.startGuest(this.#home, TINY)
  }

  get directory(): string {
    return this.#cluster.directory
  }

  get clusterKey(): string {
    return this.#cluster.clusterKey
  }

  pid(host: HostName): number {
    return this.#cluster.agent(host).pid
  }

  async isQuiet(host: HostName): Promise<boolean> {
    const { peers, handoffs } = await this.#cluster.agent(host).status()
    return peers.length === HOSTS.length - 1 && handoffs.length === 0
  }

  async handOff(number: number): Promise<number> {
    const to = nextHost(this.#home, number)
    const destination = await this.#cluster.startGuest(to, { ...TINY, incoming: true })
    const startedAt = performance.now()
    const result = await askAgent<HandoffResult>({
      path: this.#cluster.agent(this.#home).control, answerMsMax: MOVE_MS_MAX,
      request: { command: 'migrate', arguments: { guest: TINY.name, to } },
    })
    const tookMs = performance.now() - startedAt
    if (result.status !== 'completed') throw new Error(`${result.status} (${result.code}): ${result.reason}`)
    await this.#guest!.stop()
    this.#guest = destination
    this.#home = to
    return tookMs
  }

  async compare(number: number): Promise<void> {
    await this.#guest!.qmp.execute('stop')
    const before = await memoryDigest(this.#guest!)
    await this.handOff(number)
    const after = await memoryDigest(this.#guest!)
    if (before !== after) throw new Error(`the memory of the guest is not the same at ${this.#home}`)
    await this.#guest!.qmp.execute('cont')
  }

  logs(): string {
    return HOSTS.map((host) => `agent of ${host}: ...${this.#cluster.agent(host).log.slice(-LOG_CHARACTERS_SHOWN)}`)
      .join('\n')
  }

  async close(): Promise<void> {
    await this.#cluster.close()
  }
}
