import { SyntheticCluster } from '../../peers/model.ts'
import { Chance } from '../support/chance.ts'
import { VirtualClock } from '../support/time.ts'
import { ExactCount, type Agreement } from './exact.ts'
import { ACCOUNTS, addCounts, SimHost, type HostBytes } from './host.ts'
import { LINK_MODEL, type LinkModel } from './link.ts'
import { SimNetwork } from './network.ts'

export interface WorldInit {
  hosts: number
  /** Guests per host at the start. */
  guests: number
  /** Non-zero pages of each guest. */
  pages: number
  seed: number
  intervalMs: number
  minHosts: number
  maxPages: number
  link?: LinkModel
}

export interface Spread {
  worst: number
  mean: number
}

/** A measurement of all live hosts' views. */
export interface Measure {
  /** Virtual time, ms. */
  at: number
  /** Pages of the top set. */
  popularPages: number
  recall: Spread
  precision: Spread
}

export type Sizes = Record<string, number>

/** Hosts start within this time of each other, ms. */
const START_WITHIN_MS = 5_000

/** A cluster of simulated hosts on virtual time. */
export class World {
  readonly init: WorldInit
  readonly clock = new VirtualClock()
  readonly chance: Chance
  readonly network: SimNetwork
  readonly hosts: SimHost[] = []
  readonly #cluster: SyntheticCluster
  #nextGuest = 0
  /** Errors outside of the events, which must not be ignored. */
  readonly #failures: unknown[] = []

  constructor(init: WorldInit) {
    this.init = init
    const chance = new Chance(init.seed)
    this.chance = chance.fork(1)
    this.network = new SimNetwork({ clock: this.clock, chance: chance.fork(2) }, init.link ?? LINK_MODEL)
    this.#cluster = new SyntheticCluster({ seed: init.seed, pagesPerGuest: init.pages })
    for (let i = 0; i < init.hosts; i++) this.addHost()
  }

  get live(): SimHost[] {
    return this.hosts.filter((host) => host.isAlive)
  }

  /** Makes a host with guests, without starting it. */
  addHost(): SimHost {
    const index = this.hosts.length
    const chance = new Chance(this.init.seed).fork(100 + index)
    const components = { clock: this.clock, network: this.network, chance }
    const host = new SimHost(components, { ...this.init, name: `host-${index}` })
    for (let i = 0; i < this.init.guests; i++) this.addGuest(host)
    this.hosts.push(host)
    return host
  }

  /** Starts a new guest on a host. */
  addGuest(host: SimHost): void {
    host.addGuest(this.#cluster.guestOf(this.#nextGuest++))
  }

  /** Starts all hosts, within a few seconds of each other. */
  startAll(): void {
    for (const host of this.hosts) this.later(this.chance.fraction() * START_WITHIN_MS, () => host.start())
  }

  /** Runs something after a delay. */
  later(delayMs: number, run: () => Promise<void> | void): void {
    this.clock.after(delayMs, () => {
      void Promise.resolve(run()).catch((error: unknown) => { this.#failures.push(error) })
    })
  }

  /** Lets time pass. Throws errors of that time. */
  async pass(intervals: number): Promise<void> {
    await this.clock.run(this.clock.now() + intervals * this.init.intervalMs)
    if (this.#failures.length > 0) throw this.#failures[0]
  }

  count(hosts: readonly SimHost[] = this.live): ExactCount {
    return new ExactCount(hosts.map(({ held }) => held), this.init)
  }

  measure(): Measure {
    const exact = this.count()
    const agreements = this.live.map((host) => exact.compare(host.popularity!.view, this.init.maxPages))
    return {
      at: this.clock.now(), popularPages: exact.pages,
      recall: spreadOf(agreements, 'recall'), precision: spreadOf(agreements, 'precision'),
    }
  }

  /** Bytes of each live host by account, by its name. */
  bytes(): Map<string, HostBytes> {
    return new Map(this.live.map((host) => [host.name, host.bytes]))
  }

  /** Sizes of all live hosts' tables, added up. */
  sizes(): Sizes {
    const sizes: Sizes = {}
    for (const host of this.live) addCounts(sizes, host.popularity!.sizes)
    return sizes
  }

  refusals(): Record<string, number> {
    const refusals: Record<string, number> = {}
    for (const host of this.hosts) addCounts(refusals, host.refusals)
    return refusals
  }

  /** Stops everything that still runs. */
  async end(): Promise<void> {
    await this.clock.complete(Promise.all(this.live.map((host) => host.stop())))
  }
}

/** Mean and greatest bytes of the hosts by account, each divided by `intervals`. */
export function bytesPerInterval(
  before: ReadonlyMap<string, HostBytes>, after: ReadonlyMap<string, HostBytes>, intervals: number,
): { mean: HostBytes; max: HostBytes } {
  const mean = { reportSent: 0, reportReceived: 0, gossipSent: 0, gossipReceived: 0 }
  const max = { ...mean }
  for (const account of ACCOUNTS) {
    const each = [...after].map(([name, bytes]) => (bytes[account] - (before.get(name)?.[account] ?? 0)) / intervals)
    mean[account] = Math.round(each.reduce((sum, bytes) => sum + bytes, 0) / each.length)
    max[account] = Math.round(each.reduce((most, bytes) => Math.max(most, bytes), 0))
  }
  return { mean, max }
}

function spreadOf(agreements: readonly Agreement[], what: keyof Agreement): Spread {
  return {
    worst: agreements.reduce((worst, agreement) => Math.min(worst, agreement[what]), 1),
    mean: agreements.reduce((sum, agreement) => sum + agreement[what], 0) / agreements.length,
  }
}
