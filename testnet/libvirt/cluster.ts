import { chmodSync, copyFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { createLabKey, startAgent, type LabAgent } from '../agent.ts'
import { ensureBusybox } from '../busybox.ts'
import { ensureImage } from '../image.ts'
import { createNetwork, type LabNetwork } from '../network.ts'
import { LibvirtHost, type LibvirtGuest } from './host.ts'

const MEMORY_MIB = 128

export interface LibvirtClusterOptions {
  hosts: readonly string[]
  /** Further configuration of every agent. */
  settings?: Record<string, unknown>
}

/** Hosts with a libvirtd and an agent each. Everything goes with `close`. */
export class LibvirtCluster {
  readonly network: LabNetwork
  readonly hosts: LibvirtHost[] = []
  readonly agents: LabAgent[] = []
  readonly #directory: string

  private constructor(network: LabNetwork, directory: string) {
    this.network = network
    this.#directory = directory
  }

  /** Starts all; a failed start takes away what had started. */
  static async start(options: LibvirtClusterOptions): Promise<LibvirtCluster> {
    // Named as other labs are, so that what a run that died left can be told.
    const directory = mkdtempSync(join(tmpdir(), `pm-${process.pid}-`))
    // QEMU's user passes through it.
    chmodSync(directory, 0o711)
    const network = await createNetwork({ hosts: options.hosts })
    const cluster = new LibvirtCluster(network, directory)
    try {
      await cluster.#build(options)
      return cluster
    } catch (error) {
      await cluster.close()
      throw error
    }
  }

  /** A guest of the small system, with the same disk-less machine wherever it is started. */
  startGuest(host: LibvirtHost, name: string, more: { isPrivate?: boolean } = {}): Promise<LibvirtGuest> {
    const [kernel, initramfs] = [join(this.#directory, 'kernel'), join(this.#directory, 'initramfs')]
    return host.startGuest({ name, memoryMiB: MEMORY_MIB, kernel, initramfs, ...more })
  }

  async close(): Promise<void> {
    await Promise.all(this.agents.map((agent) => agent.stop()))
    await Promise.all(this.hosts.map((host) => host.stop()))
    await this.network.close()
    rmSync(this.#directory, { recursive: true, force: true })
  }

  async #build({ settings }: LibvirtClusterOptions): Promise<void> {
    // Copies: libvirt gives what its guests use to QEMU's user.
    const { kernel, initramfs } = await ensureBusybox(await ensureImage())
    copyFileSync(kernel, join(this.#directory, 'kernel'))
    copyFileSync(initramfs, join(this.#directory, 'initramfs'))
    const hosts = join(this.#directory, 'hosts')
    const lines = this.network.hosts.map(({ name, address }) => `${address} ${name}\n`)
    writeFileSync(hosts, `127.0.0.1 localhost\n${lines.join('')}`)
    for (const host of this.network.hosts) {
      const directory = join(this.#directory, `${host.name}-libvirt`)
      this.hosts.push(await LibvirtHost.start({ host, directory, hosts }))
    }
    const clusterKey = await createLabKey(this.#directory)
    for (const host of this.hosts) {
      const directory = join(this.#directory, host.name)
      this.agents.push(await startAgent({
        host, directory, guestDirectory: join(directory, 'guests'), clusterKey,
        bootstrap: this.hosts.filter((other) => other !== host).slice(0, 1),
        settings: { managed: 'libvirt', census: { intervalSeconds: 5 }, ...settings },
      }))
    }
  }
}
