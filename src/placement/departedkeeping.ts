import type { GuestMemory } from '../guest/index.ts'
import { ID_BYTES, PAGE_BYTES, type Prefixes } from '../page/index.ts'
import type { PopularityView } from '../popularity/index.ts'
import type { Clock, Timer } from '../runtime/clock.ts'
import { describeError } from '../runtime/errors.ts'
import type { HoldFlag } from '../runtime/holdflag.ts'
import type { Log } from '../runtime/log.ts'
import type { PagesToKeep, Store } from '../store/index.ts'
import type { StablePages } from './api.ts'
import { departedPages } from './departed.ts'
import type { Exchange } from './exchange.ts'
import { DEPARTED_SECONDS_MAX, oldestDeparted } from './oldest.ts'

/** Interval of the search for pages that are too old, ms. */
const AGEING_MS = 3_600_000
/** Pages dropped together to make room: choosing them walks through the whole store. */
const ROOM_PAGES = 16 * 1024

interface Components {
  clock: Clock
  log: Log
  store: Store
  hold: HoldFlag
  view: Pick<PopularityView, 'guestsOf'>
}

interface Init {
  /** Takes at most `countMax` surplus pages, to be dropped. */
  takeSurplus: (countMax: number) => Prefixes
  /** The kept pages whose place better ones may take. */
  exchange: () => Exchange | undefined
  /** Whether a guest other than `leaver` has the page. */
  isResident: (high: number, low: number, leaver: string) => boolean
}

/**
 * Stores the pages of guests that left, in room that better pages do not need. Where the store is full of wanted pages,
 * those that are worth more than the least of them take their place: else the next plan would fetch them.
 */
export class DepartedKeeping {
  readonly #components: Components
  readonly #init: Init
  /** Guests' pages are stored one guest at a time. */
  #last: Promise<void> = Promise.resolve()
  #abort = new AbortController()
  #ageing: Timer | undefined
  #pending = 0

  constructor(components: Components, init: Init) {
    this.#components = components
    this.#init = init
  }

  /** Pages of guests that left which are still to be stored. */
  get pending(): number {
    return this.#pending
  }

  async start(): Promise<void> {
    if (this.#ageing !== undefined) return
    this.#abort = new AbortController()
    // Never rejects: the store logs what it cannot clear.
    this.#ageing = this.#components.clock.every(AGEING_MS, () => void this.#dropOldest(0, Infinity))
    await this.#dropOldest(0, Infinity)
  }

  async stop(): Promise<void> {
    this.#ageing?.cancel()
    this.#ageing = undefined
    this.#abort.abort(new Error('the agent stops'))
    await this.#last
  }

  keep(memory: GuestMemory, pages: StablePages): Promise<void> {
    this.#last = this.#last.then(() => this.#keep(memory, pages))
    return this.#last
  }

  async #keep(memory: GuestMemory, pages: StablePages): Promise<void> {
    const { clock, log, store, hold } = this.#components
    if (store.bytesMax === 0) return
    const { signal } = this.#abort
    // In whole seconds, as in the store.
    const begunAt = Math.floor(clock.wallTime() / 1000)
    let kept = 0
    this.#pending = pages.count
    try {
      for await (const batch of departedPages(memory, pages)) {
        await hold.released(clock, signal)
        signal.throwIfAborted()
        const refused = await this.#put(batch, begunAt)
        const exchanged = refused > 0 ? await this.#exchange(batch, memory.name) : 0
        kept += Math.min(batch.count, batch.count - refused + exchanged)
        this.#pending = Math.max(0, this.#pending - batch.count)
        if (refused > 0 && !this.#mayExchange) break
      }
      log.info('pages of a guest that left are kept', { guest: memory.name, wanted: pages.count, kept })
    } catch (error) {
      // The guest's process may end at any time; the pages stored before are good.
      log.info('not all pages of a guest that left could be kept', {
        guest: memory.name, wanted: pages.count, kept, error: describeError(error),
      })
    } finally {
      this.#pending = 0
    }
  }

  /** Stores a batch, if need be in place of surplus or of earlier guests' pages; returns how many did not fit. */
  async #put(batch: PagesToKeep, begunAt: number): Promise<number> {
    const { store } = this.#components
    const { refused } = await store.put(batch, 'departed')
    if (refused === 0) return 0
    const surplus = this.#init.takeSurplus(ROOM_PAGES)
    if (surplus.count > 0) await store.remove(surplus)
    else await this.#dropOldest(ROOM_PAGES, begunAt)
    return (await store.put(batch, 'departed')).refused
  }

  get #mayExchange(): boolean {
    return this.#init.exchange()?.mayReplace(Infinity) ?? false
  }

  /** Keeps the pages that are worth more than kept ones, in their place; returns how many. */
  async #exchange(batch: PagesToKeep, leaver: string): Promise<number> {
    const { store, view } = this.#components
    const exchange = this.#init.exchange()
    if (exchange === undefined) return 0
    const ids = Buffer.from(batch.ids.buffer, batch.ids.byteOffset, batch.ids.byteLength)
    const taken: number[] = []
    const given: [high: number, low: number][] = []
    for (let page = 0; page < batch.count; page++) {
      const [high, low] = [ids.readUInt32BE(page * ID_BYTES), ids.readUInt32BE(page * ID_BYTES + 4)]
      if (!exchange.mayReplace(view.guestsOf(high, low)) || store.has(high, low, 64)) continue
      if (this.#init.isResident(high, low, leaver)) continue
      taken.push(page)
      given.push(exchange.take())
    }
    if (taken.length === 0) return 0
    const highs = Uint32Array.from(given, ([high]) => high)
    await store.remove({ count: given.length, high: highs, low: Uint32Array.from(given, ([, low]) => low) })
    return (await store.put(partOf(batch, taken), 'head')).stored
  }

  /** Drops pages that are too old, and the `count` oldest of those stored before `before`, seconds since the epoch. */
  async #dropOldest(count: number, before: number): Promise<void> {
    const { clock, store } = this.#components
    await store.remove(oldestDeparted(store, count, { before, since: clock.wallTime() / 1000 - DEPARTED_SECONDS_MAX }))
  }
}

/** A copy of these pages of a batch. */
function partOf({ ids, bytes }: PagesToKeep, pages: readonly number[]): PagesToKeep {
  const slices = (of: Uint8Array, length: number): Uint8Array =>
    Buffer.concat(pages.map((page) => of.subarray(page * length, (page + 1) * length)))
  return { ids: slices(ids, ID_BYTES), bytes: slices(bytes, PAGE_BYTES), count: pages.length }
}
