import { join } from 'node:path'

import { createAgent, createLibp2pMesh, type Agent, type HandoffResult, type Mesh } from '../../src/index.ts'
import { deriveKeys } from '../../src/mesh/index.ts'
import { systemClock } from '../../src/runtime/clock.ts'
import { silentLog } from '../../src/runtime/log.ts'
import { systemRandom } from '../../src/runtime/random.ts'
import { waitFor } from '../../testnet/index.ts'
import { destinationGuest, sourceGuest } from '../support/fakeguest.ts'
import type { Material } from './material.ts'
import { placeInOwnMemory, type OwnMemory } from './ownmemory.ts'

const CLUSTER_KEY = new Uint8Array(32).fill(11)
const READY_MS = 60_000

/**
 * Two agents of this process on loopback, over real lanes, with the other guest at the destination. Two stand-ins for
 * QEMUs write the stream to the agent's socket and read it at the other end.
 */
export class HandoffBench {
  readonly #material: Material
  readonly #source: Agent
  readonly #destination: Agent
  readonly #other: OwnMemory
  #handoffs = 0

  private constructor(material: Material, source: Agent, destination: Agent) {
    this.#material = material
    this.#source = source
    this.#destination = destination
    this.#other = placeInOwnMemory('other', material.held)
    destination.addGuest(this.#other.memory)
  }

  /** @param directory for the agents' files. */
  static async open(material: Material, directory: string): Promise<HandoffBench> {
    const meshA = createMesh('a', [])
    const source = await startAgent('a', meshA, directory)
    const destination = await startAgent('b', createMesh('b', [meshA.self.address]), directory)
    const bench = new HandoffBench(material, source, destination)
    await waitUntil(() => source.status().peers.length === 1, 'the agents to meet')
    await bench.#settled()
    return bench
  }

  /** A guest ready to be handed over by `run`. The preparation is not part of the handoff. */
  async prepare(): Promise<{ run(): Promise<HandoffResult>; forget(): void }> {
    const name = `web-${this.#handoffs++}`
    const { pages, stream } = this.#material
    const source = sourceGuest(name, pages.filter((page) => page !== undefined), stream)
    this.#source.addGuest(source.guest)
    this.#destination.addGuest(destinationGuest(name, stream.length, { discard: true }).guest)
    await this.#settled()
    return {
      run: async () => await this.#source.migrate({ guest: name, to: 'b' }),
      forget: () => {
        this.#source.removeGuest(name)
        this.#destination.removeGuest(name)
      },
    }
  }

  /** Memory of the destination's census per distinct page, bytes. */
  get censusBytesPerPage(): number {
    const { bytes, distinctPages } = this.#destination.status().census
    return bytes / distinctPages
  }

  async close(): Promise<void> {
    await this.#source.stop()
    await this.#destination.stop()
    await this.#other.memory.close()
  }

  async #settled(): Promise<void> {
    await waitUntil(() => this.#source.status().settled && this.#destination.status().settled, 'the census')
  }
}

function createMesh(name: string, bootstrap: string[]): Mesh {
  return createLibp2pMesh({ clock: systemClock, log: silentLog, random: systemRandom }, {
    name, keys: deriveKeys(CLUSTER_KEY), listen: ['/ip4/127.0.0.1/tcp/0'], lane: '127.0.0.1:0', bootstrap,
  })
}

async function startAgent(name: string, mesh: Mesh, directory: string): Promise<Agent> {
  const agent = await createAgent({
    name, clusterKey: CLUSTER_KEY, runtimeDirectory: join(directory, name), store: { path: directory, maxBytes: 0 },
    // Everything is scanned once, at once, before the measurement.
    census: { pagesPerSecond: 10_000_000, intervalSeconds: 86_400 },
  }, { mesh })
  await agent.start()
  return agent
}

async function waitUntil(holds: () => boolean, what: string): Promise<void> {
  await waitFor(() => (holds() ? true : undefined), { clock: systemClock, what, timeoutMs: READY_MS })
}
