import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

import type { AgentOptions } from '../../src/index.ts'
import { createLabKey } from '../../testnet/index.ts'
import { freePort } from '../support/meshes.ts'
import type { Answer, Order } from './agentprocess.ts'
import { ask } from './asking.ts'
import { HOSTS, nextHost, probedEnvironment, type HostName, type MonthHosts } from './hosts.ts'

const PROCESS = fileURLToPath(new URL('agentprocess.ts', import.meta.url))
const LOOPBACK = '127.0.0.1'
const LOG_CHARACTERS_MAX = 2000

interface Host {
  child: ChildProcess
  log: string
}

/**
 * Agents in processes of their own on loopback, with real meshes and lanes, and played guests: all of an agent but what
 * speaks to QEMU. Needs neither root nor QEMU.
 */
export class PlayedHosts implements MonthHosts {
  readonly directory = mkdtempSync(join(tmpdir(), `pm-${process.pid}-`))
  readonly outside = {
    visitors: { exec: [], address: LOOPBACK },
    // Another address: a host lets in few at once from one.
    strangers: { exec: [], address: '127.0.0.9' },
  }
  readonly bootstrap: string[] = []
  readonly doors: { host: string; port: number }[] = []
  readonly #hosts = new Map<HostName, Host>()
  #clusterKey = ''
  #home: HostName = HOSTS[0]

  static async create(): Promise<PlayedHosts> {
    const hosts = new PlayedHosts()
    try {
      await hosts.#build()
      return hosts
    } catch (error) {
      await hosts.close()
      throw error
    }
  }

  private constructor() {}

  async #build(): Promise<void> {
    this.#clusterKey = await createLabKey(this.directory)
    for (const host of HOSTS) {
      const [mesh, lane] = [await freePort(), await freePort()]
      const options: AgentOptions = {
        name: host, clusterKey: this.#clusterKey, listen: [`/ip4/${LOOPBACK}/tcp/${mesh}`], lane: `${LOOPBACK}:${lane}`,
        bootstrap: this.bootstrap.slice(0, 1), store: { path: join(this.directory, host), maxBytes: 16 * 2 ** 20 },
        census: { intervalSeconds: 10 },
      }
      await this.#start(host, options)
      this.bootstrap.push(options.listen![0]!)
      this.doors.push({ host: LOOPBACK, port: mesh }, { host: LOOPBACK, port: lane })
    }
  }

  async #start(host: HostName, options: AgentOptions): Promise<void> {
    const child = fork(PROCESS, [JSON.stringify(options)], {
      env: { ...process.env, ...probedEnvironment(this.directory) },
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    })
    const started: Host = { child, log: '' }
    child.stderr!.on('data', (bytes: Buffer) => {
      started.log = (started.log + bytes.toString()).slice(-LOG_CHARACTERS_MAX)
    })
    this.#hosts.set(host, started)
    await once(child, 'message')
    await this.#order(host, { do: 'start' })
  }

  get clusterKey(): string {
    return this.#clusterKey
  }

  pid(host: HostName): number {
    return this.#hosts.get(host)!.child.pid!
  }

  async isQuiet(host: HostName): Promise<boolean> {
    const answer = await this.#order(host, { do: 'rest' })
    return 'peers' in answer && answer.peers === HOSTS.length - 1 && answer.handoffs === 0
  }

  /** Each time another guest: its stream is compared, too. */
  async handOff(number: number): Promise<number> {
    const [from, to] = [this.#home, nextHost(this.#home, number)]
    await this.#order(from, { do: 'live', number })
    await this.#order(to, { do: 'wait', number })
    const startedAt = performance.now()
    const answer = await this.#order(from, { do: 'migrate', number, to })
    const tookMs = performance.now() - startedAt
    if (!('result' in answer) || answer.result.status !== 'completed') throw new Error(JSON.stringify(answer))
    const compared = await this.#order(to, { do: 'compare', number })
    if (!('isEqual' in compared && compared.isEqual)) throw new Error(`guest ${number} did not arrive whole at ${to}`)
    await this.#order(from, { do: 'forget', number })
    await this.#order(to, { do: 'forget', number })
    this.#home = to
    return tookMs
  }

  async compare(number: number): Promise<void> {
    await this.handOff(number)
  }

  logs(): string {
    return [...this.#hosts].map(([host, { log }]) => `agent of ${host}: ...${log}`).join('\n')
  }

  async close(): Promise<void> {
    await Promise.all([...this.#hosts.values()].map(async ({ child }) => {
      if (child.exitCode !== null || child.signalCode !== null) return
      const ended = once(child, 'exit')
      child.disconnect()
      await ended
    }))
    rmSync(this.directory, { recursive: true, force: true })
  }

  async #order(host: HostName, order: Order): Promise<Answer> {
    const answer = await ask<Answer>(this.#hosts.get(host)!.child, order)
    if ('error' in answer) throw new Error(`${host}: ${answer.error}`)
    return answer
  }
}
