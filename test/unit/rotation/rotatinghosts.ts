import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { createAgent, writeClusterKey, type Agent } from '../../../src/index.ts'
import { readClusterKeys } from '../../../src/mesh/index.ts'
import { freePort, until } from '../../support/meshes.ts'

const WAIT_MS = 20_000

/** Agents on loopback, each with a key file of its own. */
export class RotatingHosts {
  readonly folder: string
  readonly #ports: Record<string, number> = {}
  readonly #running = new Map<string, Agent>()

  private constructor(folder: string) {
    this.folder = folder
  }

  static async make(names: string[]): Promise<RotatingHosts> {
    const hosts = new RotatingHosts(await mkdtemp(join(tmpdir(), 'pm-keys-')))
    for (const name of names) hosts.#ports[name] = await freePort()
    return hosts
  }

  keyFile(name: string): string {
    return join(this.folder, `${name}.key`)
  }

  /** A new key: its file. */
  async keygen(name: string): Promise<string> {
    const path = join(this.folder, `new-${name}.key`)
    await writeClusterKey(path)
    return path
  }

  async key(path: string): Promise<Uint8Array> {
    return (await readClusterKeys(path)).used
  }

  /** Number of keys in a host's file. */
  async keyCount(name: string): Promise<number> {
    return (await readClusterKeys(this.keyFile(name))).other === undefined ? 1 : 2
  }

  agent(name: string): Agent {
    const agent = this.#running.get(name)
    if (agent === undefined) throw new Error(`${name} does not run`)
    return agent
  }

  async start(name: string): Promise<Agent> {
    const addressOf = (port: number | undefined): string => `/ip4/127.0.0.1/tcp/${port}`
    const agent = await createAgent({
      name, clusterKey: this.keyFile(name), runtimeDirectory: join(this.folder, `run-${name}`),
      store: { path: join(this.folder, name), maxBytes: 0 }, census: { intervalSeconds: 1 },
      listen: [addressOf(this.#ports[name])], lane: '127.0.0.1:0',
      bootstrap: Object.entries(this.#ports).filter(([other]) => other !== name).map(([, port]) => addressOf(port)),
    })
    await agent.start()
    this.#running.set(name, agent)
    return agent
  }

  async stop(name: string): Promise<void> {
    const agent = this.#running.get(name)
    this.#running.delete(name)
    await agent?.stop()
  }

  /** All that run see all that run. */
  async meet(): Promise<void> {
    const agents = [...this.#running.values()]
    await until(() => agents.every((agent) => agent.status().peers.length === agents.length - 1), 'all meet', WAIT_MS)
  }

  async remove(): Promise<void> {
    for (const name of [...this.#running.keys()]) await this.stop(name)
    await rm(this.folder, { recursive: true, force: true })
  }
}
