import type { SyntheticGuest } from '../../peers/model.ts'
import { Standing } from '../../src/mesh/index.ts'
import { createPopularity, type Popularity } from '../../src/popularity/index.ts'
import type { Timer } from '../../src/runtime/clock.ts'
import { silentLog } from '../../src/runtime/log.ts'
import type { Chance } from '../support/chance.ts'
import type { VirtualClock } from '../support/time.ts'
import { SimHeld } from './held.ts'
import type { SimMesh } from './mesh.ts'
import type { SimNetwork } from './network.ts'

/** Keys the draw of slice owners. */
export const SLICE_KEY = new Uint8Array(32).fill(1)

/** Bytes by account since the host's first start, over all its lives. */
export interface HostBytes {
  reportSent: number
  reportReceived: number
  gossipSent: number
  gossipReceived: number
}

export const ACCOUNTS = ['reportSent', 'reportReceived', 'gossipSent', 'gossipReceived'] as const

export interface HostInit {
  intervalMs: number
  minHosts: number
  maxPages: number
}

interface Components {
  clock: VirtualClock
  network: SimNetwork
  chance: Chance
}

/** One life of a host's agent; only the simulated parts. */
interface Life {
  mesh: SimMesh
  popularity: Popularity
  census: Timer
}

/** A host with its guests: a census per interval, and the real popularity code. */
export class SimHost {
  readonly name: string
  held = new SimHeld()
  /** The guests here, and how often each was looked at. */
  readonly guests = new Map<SyntheticGuest, number>()
  readonly #components: Components
  readonly #init: HostInit
  /**
   * Time from the first look at the guests, at a life's start, to the second, ms; later looks are one interval apart.
   */
  readonly #secondLookMs: number
  readonly #past: HostBytes = { reportSent: 0, reportReceived: 0, gossipSent: 0, gossipReceived: 0 }
  readonly #pastRefusals: Record<string, number> = {}
  #life: Life | undefined

  constructor(components: Components, init: HostInit & { name: string }) {
    this.#components = components
    this.#init = init
    this.name = init.name
    this.#secondLookMs = components.chance.between(0.5, 1.5) * init.intervalMs
  }

  get isAlive(): boolean {
    return this.#life !== undefined
  }

  get popularity(): Popularity | undefined {
    return this.#life?.popularity
  }

  get bytes(): HostBytes {
    const bytes = { ...this.#past }
    addLife(bytes, this.#life)
    return bytes
  }

  /** Refusals of other members, by reason, over all lives. */
  get refusals(): Record<string, number> {
    return addCounts({ ...this.#pastRefusals }, this.#life?.popularity.refusals ?? {})
  }

  /** Begins a life without knowledge of the one before; guests keep running. */
  async start(): Promise<void> {
    const { clock, network, chance } = this.#components
    const { minHosts, maxPages, intervalMs } = this.#init
    this.held = new SimHeld()
    for (const guest of this.guests.keys()) this.guests.set(guest, 0)
    const mesh = network.createMesh(this.name)
    const popularity = createPopularity(
      { mesh, clock, random: chance, log: silentLog, held: this.held, standing: new Standing({ clock }) },
      { minHosts, maxPages, intervalMs, sliceKey: SLICE_KEY },
    )
    const life: Life = { mesh, popularity, census: clock.after(this.#secondLookMs, () => this.#lookOften(life)) }
    this.#life = life
    this.#look()
    await mesh.start()
    await popularity.start()
  }

  /** Stops cleanly. */
  async stop(): Promise<void> {
    const life = this.#end()
    await life?.popularity.stop()
    await life?.mesh.stop()
  }

  /** Ends without notice. */
  async crash(): Promise<void> {
    const life = this.#end()
    if (life === undefined) return
    this.#components.network.crash(life.mesh)
    await life.popularity.stop()
  }

  addGuest(guest: SyntheticGuest): void {
    this.guests.set(guest, 0)
  }

  /** Returns whether it was here. */
  removeGuest(guest: SyntheticGuest): boolean {
    return this.guests.delete(guest)
  }

  #lookOften(life: Life): void {
    life.census = this.#components.clock.every(this.#init.intervalMs, () => this.#look())
    this.#look()
  }

  #look(): void {
    const lookNumber = Math.floor(this.#components.clock.now() / this.#init.intervalMs) + 1
    this.held.look(this.guests, lookNumber)
    for (const [guest, seen] of this.guests) this.guests.set(guest, seen + 1)
  }

  #end(): Life | undefined {
    const life = this.#life
    this.#life = undefined
    life?.census.cancel()
    addLife(this.#past, life)
    addCounts(this.#pastRefusals, life?.popularity.refusals ?? {})
    return life
  }
}

function addLife(bytes: HostBytes, life: Life | undefined): void {
  if (life === undefined) return
  const { mesh, popularity } = life
  const { report, view } = popularity.traffic
  bytes.reportSent += report.sentBytes
  bytes.reportReceived += report.receivedBytes
  // As in the status: views are requested to make up for gossip.
  bytes.gossipSent += mesh.traffic.gossip.sentBytes + view.sentBytes
  bytes.gossipReceived += mesh.traffic.gossip.receivedBytes + view.receivedBytes
}

type Counts = Record<string, number>

/** Adds the counts of `from` to those of `into`. */
export function addCounts(into: Counts, from: Readonly<Counts>): Counts {
  for (const [reason, count] of Object.entries(from)) into[reason] = (into[reason] ?? 0) + count
  return into
}
