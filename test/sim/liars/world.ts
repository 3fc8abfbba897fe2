/**
 * A mesh with lying members: they report the prefixes of pages that only a victim holds, name themselves as holders,
 * answer challenges as they like, and want the pages. All hosts believe the reports, as if every owner of a slice lied
 * too: only the victim's own decisions remain.
 */
import { MemoryNetwork, Standing, type Mesh } from '../../../src/mesh/index.ts'
import { createPossession, type Possession } from '../../../src/possession/index.ts'
import { POSSESSION_PROTOCOL } from '../../../src/possession/proof.ts'
import { silentLog } from '../../../src/runtime/log.ts'
import { createSwap, type Swap, type SwapPurpose } from '../../../src/swap/index.ts'
import { Chance } from '../../support/chance.ts'
import { hasher, range, type MadePages } from '../../support/madeswap.ts'
import { VirtualClock } from '../../support/time.ts'
import { INTERVAL_MS, KEY, residentPages } from '../../unit/possession/made.ts'
import type { LiarAtWork, Lie } from './lies.ts'

export const PRIVATE = range(200)
export const COMMON = range(200, 200)

/** Virtual time per millisecond of real time, ms. */
const STEP_MS = 5

export interface LiarWorldInit {
  pages: MadePages
  hosts: number
  liars: number
  seed: number
  lie: Lie
  /** Whether the victim challenges holders; otherwise it believes the reports. */
  asksForProof?: boolean
}

export class LiarWorld {
  readonly clock = new VirtualClock()
  readonly victim = 'victim'
  readonly liars: string[]
  readonly honest: string[]
  readonly #network = new MemoryNetwork({ clock: this.clock })
  readonly #init: LiarWorldInit
  readonly #chance: Chance
  readonly #swaps = new Map<string, Swap>()
  readonly #possessions: Possession[] = []
  readonly #meshes = new Map<string, Mesh>()
  readonly #seen: Uint8Array[] = []
  readonly #abort = new AbortController()

  constructor(init: LiarWorldInit) {
    this.#init = init
    this.#chance = new Chance(init.seed)
    // Liars choose their names: some sort before the victim's, some after it.
    this.liars = range(init.liars).map((number) => `${this.#chance.happens(0.5) ? 'a' : 'z'}-${number}-${init.seed}`)
    this.honest = range(init.hosts - init.liars - 1).map((number) => `honest-${number}`)
  }

  async start(): Promise<void> {
    await this.#add(this.victim, (number) => PRIVATE.includes(number) || COMMON.includes(number))
    for (const name of this.honest) await this.#add(name, (number) => COMMON.includes(number))
    for (const name of this.liars) await this.#addLiar(name)
  }

  /** A host without pages. */
  async addNewcomer(name: string): Promise<void> {
    await this.#add(name, () => false)
  }

  /** The numbers of the wanted pages that `host` gets, asking all other hosts. */
  async fetched(host: string, wanted: readonly number[], purpose: SwapPurpose): Promise<number[]> {
    const { pages } = this.#init
    const got: number[] = []
    const others = [...this.#meshes.keys()].filter((name) => name !== host)
    await this.#complete(this.#swaps.get(host)!.fetch(pages.wanted(wanted, () => others), {
      purpose, signal: this.#abort.signal,
      deliver: ({ count, indices }) => { for (let page = 0; page < count; page++) got.push(wanted[indices[page]!]!) },
    }))
    return got.sort((a, b) => a - b)
  }

  async pass(intervals: number): Promise<void> {
    await this.clock.run(this.clock.now() + intervals * INTERVAL_MS)
  }

  async end(): Promise<void> {
    this.#abort.abort(new Error('the world ends'))
    for (const swap of this.#swaps.values()) await swap.stop()
    for (const possession of this.#possessions) await possession.stop()
    for (const mesh of this.#meshes.values()) await mesh.stop()
  }

  /** Virtual time must not pass faster than pages are packed in real time. */
  async #complete(work: Promise<unknown>): Promise<void> {
    let isDone = false
    const done = (): void => { isDone = true }
    work.then(done, done)
    while (!isDone) {
      await this.clock.run(this.clock.now() + STEP_MS)
      await new Promise((resolve) => { setTimeout(resolve, 1) })
    }
    await work
  }

  async #add(name: string, holds: (number: number) => boolean): Promise<void> {
    const mesh = this.#network.createMesh(name)
    const standing = new Standing(this)
    const possession = createPossession({
      ...this.#shared(), mesh, standing, hasher,
      resident: residentPages(this.#init.pages, holds),
      namedHolders: (high, low) => this.#named(this.#init.pages.numberOf(high, low)),
    }, { keys: () => [KEY], minHosts: this.#init.asksForProof === false ? 1 : 2, intervalMs: INTERVAL_MS })
    await mesh.start()
    await possession.start()
    this.#possessions.push(possession)
    await this.#addSwap(mesh, standing, holds, (pages, by) => possession.confirm(pages, by))
  }

  async #addLiar(name: string): Promise<void> {
    const mesh = this.#network.createMesh(name)
    const liar: LiarAtWork = {
      mesh, victim: this.victim, seen: this.#seen,
      chance: this.#chance.fork(this.#meshes.size),
      honest: this.honest[0] ?? this.victim,
      colluder: () => this.#meshes.get(this.liars.find((other) => other !== name) ?? ''),
      signal: this.#abort.signal,
    }
    mesh.handle(POSSESSION_PROTOCOL, async (stream) => {
      for (;;) {
        const answer = await this.#init.lie(await stream.receive(this.#abort.signal), liar)
        if (answer === undefined) throw new Error('no answer')
        this.#seen.push(answer)
        await stream.send(answer)
      }
    })
    await mesh.start()
    await this.#addSwap(mesh, new Standing(this), () => false, async ({ count }) => new Uint8Array(count).fill(1))
  }

  async #addSwap(
    mesh: Mesh, standing: Standing, holds: (number: number) => boolean,
    confirm: Parameters<typeof createSwap>[0]['confirm'],
  ): Promise<void> {
    const swap = createSwap({
      ...this.#shared(), mesh, standing, hasher, confirm,
      sources: [residentPages(this.#init.pages, holds)],
      isPopular: () => true,
    }, { bytesPerSecondMax: Infinity })
    await swap.start()
    this.#meshes.set(mesh.self.name, mesh)
    this.#swaps.set(mesh.self.name, swap)
  }

  /** The holders that the view names: liars for the victim's own pages, liars among others for common ones. */
  #named(number: number): string[] {
    if (PRIVATE.includes(number)) return [...this.liars, this.victim].slice(0, 3)
    const holders = [this.victim, ...this.honest]
    const right = range(2).map((turn) => holders[(number + turn) % holders.length]!)
    return [this.liars[number % this.liars.length]!, ...right]
  }

  #shared() {
    return { clock: this.clock, log: silentLog, random: this.#chance.fork(this.#meshes.size + 100) }
  }
}
