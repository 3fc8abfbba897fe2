import { chmodSync, copyFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { createLabKey, startAgent, type LabAgent } from '../agent.ts'
import { findAgentUser } from '../agentuser.ts'
import { ensureBusybox } from '../machine/busybox.ts'
import { ensureImage } from '../machine/image.ts'
import { createNetwork, type LabNetwork } from '../machine/network.ts'
import type { DomainOptions } from './domain.ts'
import { LibvirtHost, type LibvirtGuest } from './host.ts'

const MEMORY_MIB = 128

export interface LibvirtClusterOptions {
  hosts: readonly string[]
  /** Further configuration of every agent. */
  settings?: Record<string, unknown>
}

/** Hosts with a libvirtd, and an agent beside it once that is started. `close` removes everything. */
export class LibvirtCluster {
  readonly network: LabNetwork
  readonly hosts: LibvirtHost[] = []
  readonly #agents = new Map<string, LabAgent>()
  readonly #directory: string
  readonly #settings: Record<string, unknown>
  #clusterKey = ''

  private constructor(network: LabNetwork, directory: string, { settings = {} }: LibvirtClusterOptions) {
    this.network = network
    this.#directory = directory
    this.#settings = settings
  }

  /** Starts the hosts; a failed start removes what it had started. */
  static async start(options: LibvirtClusterOptions): Promise<LibvirtCluster> {
    // Named like other labs, so that leftovers of a run that was killed can be recognised.
    const directory = mkdtempSync(join(tmpdir(), `pm-${process.pid}-`))
    // QEMU's user must pass through it.
    chmodSync(directory, 0o711)
    const network = await createNetwork({ hosts: options.hosts })
    const cluster = new LibvirtCluster(network, directory, options)
    try {
      await cluster.#build()
      return cluster
    } catch (error) {
      await cluster.close()
      throw error
    }
  }

  host(name: string): LibvirtHost {
    return this.hosts.find((host) => host.name === name)!
  }

  /** The agent of a host; a new one after `startAgent`. */
  agent(host: string): LabAgent {
    return this.#agents.get(host)!
  }

  /** Starts the agent of a host without a running one. */
  async startAgent(name: string): Promise<LabAgent> {
    const host = this.host(name)
    const directory = join(this.#directory, name)
    const agent = await startAgent({
      host, directory, guestDirectory: join(directory, 'guests'),
      mesh: {
        clusterKey: this.#clusterKey, bootstrap: this.hosts.filter((other) => other !== host).slice(0, 1),
      },
      settings: { managed: 'libvirt', census: { intervalSeconds: 2 }, ...this.#settings },
    })
    this.#agents.set(name, agent)
    return agent
  }

  /** A guest of the small system, with the same disk-less machine on every host. */
  startGuest(
    host: LibvirtHost, name: string, more: Pick<DomainOptions, 'isPrivate' | 'oddDevice'> = {},
  ): Promise<LibvirtGuest> {
    const [kernel, initramfs] = [join(this.#directory, 'kernel'), join(this.#directory, 'initramfs')]
    return host.startGuest({ name, memoryMiB: MEMORY_MIB, kernel, initramfs, ...more })
  }

  async close(): Promise<void> {
    await Promise.all([...this.#agents.values()].map((agent) => agent.stop()))
    await Promise.all(this.hosts.map((host) => host.stop()))
    await this.network.close()
    rmSync(this.#directory, { recursive: true, force: true })
  }

  async #build(): Promise<void> {
    // Copies, because libvirt changes the owner of its guests' files to QEMU's user.
    const { kernel, initramfs } = await ensureBusybox(await ensureImage())
    copyFileSync(kernel, join(this.#directory, 'kernel'))
    copyFileSync(initramfs, join(this.#directory, 'initramfs'))
    const hosts = join(this.#directory, 'hosts')
    const lines = this.network.hosts.map(({ name, address }) => `${address} ${name}\n`)
    writeFileSync(hosts, `127.0.0.1 localhost\n${lines.join('')}`)
    this.hosts.push(...await Promise.all(this.network.hosts.map((host) =>
      LibvirtHost.start({ host, directory: join(this.#directory, `${host.name}-libvirt`), hosts }))))
    await this.#makeSocketFolders()
    this.#clusterKey = await createLabKey(this.#directory)
  }

  /**
   * The folders of migrations over sockets, as in the daemon's README: one per destination. At the source the agent
   * owns it and listens there; at the destination QEMU does, at the same path.
   */
  async #makeSocketFolders(): Promise<void> {
    const agentUser = (await findAgentUser())?.uid ?? 0
    for (const host of this.hosts) {
      for (const { name } of this.hosts) {
        const owner = host.name === name ? 'libvirt-qemu' : String(agentUser)
        await host.run('install', '-d', '-o', owner, '-m', '0711', `/run/pagemesh/${name}`)
      }
    }
  }
}
