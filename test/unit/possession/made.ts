/** Hosts in one process that prove to each other what they hold; pages are known by number. */
import { MemoryNetwork, Standing, type Mesh } from '../../../src/mesh/index.ts'
import type { PageSource } from '../../../src/page/index.ts'
import { createPossession, type HeldBatch, type Possession } from '../../../src/possession/index.ts'
import type { Clock } from '../../../src/runtime/clock.ts'
import { silentLog, type Log } from '../../../src/runtime/log.ts'
import { Chance } from '../../support/chance.ts'
import { hasher, type MadePages } from '../../support/madeswap.ts'
import { VirtualClock } from '../../support/time.ts'

export const KEY = new Uint8Array(32).fill(8)
export const INTERVAL_MS = 60_000

export interface PossessionHost {
  mesh: Mesh
  standing: Standing
  possession: Possession
  warnings: string[]
}

export interface PossessionHostInit {
  holds?: (number: number) => boolean
  /** Who is said to hold a page. */
  named?: (number: number) => readonly string[]
  minHosts?: number
}

export class PossessionScene {
  readonly clock: VirtualClock
  readonly network: MemoryNetwork
  readonly pages: MadePages
  readonly #hosts: PossessionHost[] = []

  constructor(pages: MadePages) {
    this.clock = new VirtualClock()
    this.network = new MemoryNetwork({ clock: this.clock })
    this.pages = pages
  }

  async add(name: string, init: PossessionHostInit = {}): Promise<PossessionHost> {
    const host = createHost(this, name, init)
    this.#hosts.push(host)
    await host.mesh.start()
    await host.possession.start()
    return host
  }

  /** Which of these pages, by number, `host` lets go to `asker`; time passes only while it must. */
  async confirmed(
    host: PossessionHost, numbers: readonly number[], asker: string,
    init: { resident?: 0 | 1; isUrgent?: boolean } = {},
  ): Promise<number[]> {
    const member = { name: asker, peerId: `memory-${asker}`, address: '' }
    const mayLeave = await this.clock.complete(host.possession.confirm(heldBatch(this.pages, numbers, init.resident), {
      asker: member, isUrgent: init.isUrgent ?? true, signal: new AbortController().signal,
    }))
    return numbers.filter((_number, index) => mayLeave[index] === 1)
  }

  async pass(ms: number): Promise<void> {
    await this.clock.run(this.clock.now() + ms)
  }

  async end(): Promise<void> {
    for (const { possession, mesh } of this.#hosts.splice(0)) {
      await possession.stop()
      await mesh.stop()
    }
  }
}

export function heldBatch(pages: MadePages, numbers: readonly number[], resident: 0 | 1 = 1): HeldBatch {
  return {
    ...pages.prefixes(numbers),
    bytes: Buffer.concat(numbers.map((number) => pages.page(number))),
    resident: new Uint8Array(numbers.length).fill(resident),
  }
}

/** What a host's guests hold. */
export function residentPages(pages: MadePages, holds: (number: number) => boolean): PageSource {
  const source = pages.source(holds)
  return {
    kind: 'resident',
    fill: async (batch, signal) => {
      await source.fill(batch, signal)
      for (let index = 0; index < batch.count; index++) if (batch.isFilled(index)) batch.markFilled(index, 'resident')
    },
  }
}

function createHost(
  { clock, network, pages }: { clock: Clock; network: MemoryNetwork; pages: MadePages }, name: string,
  { holds = () => false, named = () => [], minHosts = 2 }: PossessionHostInit,
): PossessionHost {
  const mesh = network.createMesh(name)
  const standing = new Standing({ clock })
  const warnings: string[] = []
  const log: Log = { ...silentLog, warn: (message) => { warnings.push(message) } }
  const possession = createPossession({
    clock, log, mesh, hasher, standing,
    random: new Chance(name.length),
    resident: residentPages(pages, holds),
    namedHolders: (high, low) => named(pages.numberOf(high, low)),
  }, { keys: () => [KEY], minHosts, intervalMs: INTERVAL_MS })
  return { mesh, standing, possession, warnings }
}
