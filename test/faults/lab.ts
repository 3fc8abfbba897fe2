/** The lab of the faults: three hosts with an agent each, whose own files lie on a small disk, and guests that roam. */
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

import { askAgent, type ControlRequest } from '../../src/daemon/control/index.ts'
import { systemClock } from '../../src/runtime/clock.ts'
import { findAgentUser } from '../../testnet/agentuser.ts'
import {
  createCluster, ensureImage, waitFor, type GuestOptions, type LabAgent, type LabCluster,
} from '../../testnet/index.ts'
import { runCommand } from '../../testnet/machine/command.ts'
import { Trace } from '../support/trace.ts'
import { startWitnessed, type Witness } from '../support/witness.ts'
import { Roamer, type RoamerWork } from './roamer.ts'

export const HOSTS = ['a', 'b', 'c'] as const
/** Slow enough that faults strike while memory is being sent. */
export const LINK_BYTES_PER_SECOND = 30e6
const DISK_BYTES = 48 * 2 ** 20
const STORE_BYTES_MAX = 16 * 2 ** 20
const JOINED_MS_MAX = 60_000
const ASK_MS_MAX = 90_000
const LOG_LINES_SHOWN = 40
const LOG_CHARACTERS_KEPT = 200_000
const FILLER = 'filler'
const SETTINGS = {
  census: { intervalSeconds: 10 }, store: { maxBytes: STORE_BYTES_MAX }, intercept: { ports: ['49152-49215'] },
}

export class FaultLab {
  readonly cluster: LabCluster
  readonly trace = new Trace()
  readonly roamers: Roamer[] = []
  readonly #witnesses = new Set<Witness>()
  readonly #disks: string[] = []
  /** Hosts with an agent. */
  readonly #started: string[] = []
  /** What the agents that were ended had logged, by host. */
  readonly #logs = new Map<string, string>()
  /** Starts under way, by host. */
  readonly #starting = new Map<string, Promise<unknown>>()

  static async create(works: readonly RoamerWork[]): Promise<FaultLab> {
    await ensureImage()
    const lab = new FaultLab(await createCluster({
      hosts: HOSTS, bytesPerSecond: LINK_BYTES_PER_SECOND, settings: SETTINGS, withoutAgents: true,
    }))
    try {
      await lab.#build(works)
      return lab
    } catch (error) {
      await lab.close()
      throw error
    }
  }

  private constructor(cluster: LabCluster) {
    this.cluster = cluster
  }

  async #build(works: readonly RoamerWork[]): Promise<void> {
    for (const [index, work] of works.entries()) {
      const roamer = new Roamer(this, `${work}-${index}`, work)
      this.roamers.push(roamer)
      await roamer.boot(HOSTS[index % HOSTS.length]!)
    }
    for (const host of HOSTS) {
      await this.#mountDisk(this.diskOf(host))
      await this.cluster.restartAgent(host)
      this.#started.push(host)
    }
    await this.joined()
  }

  async #mountDisk(disk: string): Promise<void> {
    const { uid = 0, gid = 0 } = await findAgentUser() ?? {}
    mkdirSync(disk, { recursive: true })
    const options = `size=${DISK_BYTES},mode=0700,uid=${uid},gid=${gid}`
    execFileSync('mount', ['-t', 'tmpfs', '-o', options, 'pagemesh-faults', disk])
    this.#disks.push(disk)
  }

  agent(host: string): LabAgent {
    return this.cluster.agent(host)
  }

  /** Asks an agent as a command does, without starting a program for it. Rejects as `askAgent`, and after 90 s. */
  async ask<Result>(host: string, request: ControlRequest): Promise<Result> {
    return await askAgent<Result>({ path: this.agent(host).control, request, answerMsMax: ASK_MS_MAX })
  }

  /** The disk of an agent's own files: identity, journal, kept pages. */
  diskOf(host: string): string {
    return join(this.cluster.directory, host, 'state')
  }

  /** Leaves no byte free on it. */
  fillDisk(host: string): void {
    const path = join(this.diskOf(host), FILLER)
    try {
      writeFileSync(path, Buffer.alloc(DISK_BYTES))
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error
    }
  }

  freeDisk(host: string): void {
    rmSync(join(this.diskOf(host), FILLER), { force: true })
  }

  /** Tables of nft in the host's namespace. */
  async tablesOf(host: string): Promise<string[]> {
    const text = await runCommand([...this.cluster.network.host(host).exec, 'nft', 'list', 'tables'])
    return text.split('\n').filter((line) => line !== '')
  }

  async start(host: string, options: Omit<GuestOptions, 'directory' | 'host'>): Promise<Witness> {
    const witness = await startWitnessed(this.cluster, host, options, this.trace)
    this.#witnesses.add(witness)
    return witness
  }

  async stop(witness: Witness): Promise<void> {
    this.#witnesses.delete(witness)
    await witness.stop()
  }

  /** Every QEMU of a guest that was not ended. */
  qemusOf(name: string): Witness[] {
    return [...this.#witnesses].filter(({ guest }) => guest.name === name)
  }

  qemus(): Witness[] {
    return [...this.#witnesses]
  }

  /** Ends a host's agent, which may only be starting. */
  async endAgent(host: string, how: 'kill' | 'stop'): Promise<void> {
    await this.#starting.get(host)
    const agent = this.agent(host)
    await agent[how]()
    this.#logs.set(host, ((this.#logs.get(host) ?? '') + agent.log).slice(-LOG_CHARACTERS_KEPT))
  }

  /** Starts a host's agent again, unless it runs or is being started: two strikes may have hit the same one. */
  async startAgent(host: string): Promise<void> {
    if (!this.#starting.has(host) && existsSync(`/proc/${this.agent(host).pid}`)) return
    const starting = this.#starting.get(host) ?? this.cluster.restartAgent(host)
    this.#starting.set(host, starting)
    try {
      await starting
    } finally {
      this.#starting.delete(host)
    }
  }

  /** Restarts the agents of these hosts, to repair them. */
  async restartAgents(hosts: readonly string[] = HOSTS): Promise<void> {
    for (const host of hosts) await this.endAgent(host, 'kill')
    for (const host of hosts) await this.startAgent(host)
  }

  /** Puts everything back, whatever a round has left. */
  async repair(): Promise<void> {
    for (const host of HOSTS) {
      await this.cluster.network.restore(host)
      await this.cluster.network.shape(host, LINK_BYTES_PER_SECOND)
      await this.cluster.network.corrupt(host, 0)
      this.freeDisk(host)
    }
    await this.restartAgents()
    for (const roamer of this.roamers) await roamer.restore(roamer.home.host)
  }

  /** Resolves when every agent sees the others. */
  async joined(): Promise<void> {
    await Promise.all(HOSTS.map((host) => waitFor(async () => {
      // It may be about to answer.
      const status = await this.agent(host).status().catch(() => undefined)
      return status?.peers.length === HOSTS.length - 1 ? true : undefined
    }, { clock: systemClock, what: `${host} to see the others`, timeoutMs: JOINED_MS_MAX, pauseMs: 100 })))
  }

  /** The trace, and the agents' last log lines. */
  evidence(): string {
    const logs = HOSTS.map((host) => {
      const isRecent = (line: string): boolean => Number(/"time":(\d+)/.exec(line)?.[1] ?? 0) >= this.trace.firstMs
      const log = (this.#logs.get(host) ?? '') + (this.agent(host).running ? this.agent(host).log : '')
      const lines = log.split('\n').filter(isRecent).slice(-LOG_LINES_SHOWN)
      return `agent of ${host}:\n  ${lines.join('\n  ')}`
    })
    return [this.trace.toString(), ...logs].join('\n')
  }

  async close(): Promise<void> {
    for (const witness of this.qemus()) await this.stop(witness)
    for (const host of this.#started) await this.agent(host).kill()
    for (const disk of this.#disks) execFileSync('umount', [disk])
    await this.cluster.close()
  }
}
