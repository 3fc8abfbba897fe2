/**
 * Carries out a plan: pages that are kept already get their better kind, and missing pages are fetched, the best first,
 * in place of surplus pages.
 */
import {
  closeUp, ID_BYTES, idsAt, idsOf, PAGE_BYTES, PageBatch, PREFIX_BYTES, type PageVerifier, type Prefixes,
} from '../page/index.ts'
import type { Clock } from '../runtime/clock.ts'
import type { HoldFlag } from '../runtime/holdflag.ts'
import type { PageKind, Store } from '../store/index.ts'
import type { ArrivedPages, Swap } from '../swap/index.ts'
import type { Plan, PlannedPages } from './policy.ts'

/** Pages of one request: 8 MiB. */
const FETCH_PAGES = 2048
/** Pages that are read and stored again together to get a better kind: 1 MiB. */
const CLAIM_PAGES = 256
/** Batches in a row with most pages missing that end a pass: no host seems to answer. */
const BAD_BATCHES_MAX = 2

interface Components {
  clock: Clock
  hasher: PageVerifier
  store: Store
  swap: Swap
  hold: HoldFlag
}

export interface FillingInit {
  /** Names of hosts that may have a page. */
  holdersOf: (high: number, low: number) => string[]
  /** Called for each page that no host had. */
  onMissing: (high: number, low: number) => void
  signal: AbortSignal
  /** Clock time at which the pass ends and the rest is planned anew, ms. */
  until: number
}

/** How a pass ended: all pages were tried, its time was over, or most pages were missing. */
export type FillingEnd = 'tried' | 'late' | 'hopeless'

/** One pass over a plan. */
export class Filling {
  readonly #components: Components
  readonly #plan: Plan
  /** Number of surplus pages dropped, from the start of the list. */
  #dropped = 0
  #fetched = 0
  #givenUp = 0

  constructor(components: Components, plan: Plan) {
    this.#components = components
    this.#plan = plan
  }

  /** Pages still to be fetched. */
  get pending(): number {
    return this.#plan.fetch.count - this.#fetched - this.#givenUp
  }

  /** Wanted pages that are not kept and no longer tried. */
  get givenUp(): number {
    return this.#givenUp
  }

  /** Kept pages that are not wanted. */
  get surplus(): number {
    return this.#plan.surplus.count - this.#dropped
  }

  /** Takes at most `countMax` pages of the surplus, to be dropped. */
  takeSurplus(countMax: number): Prefixes {
    const { surplus } = this.#plan
    const start = this.#dropped
    this.#dropped = Math.min(surplus.count, start + Math.max(0, countMax))
    return partOf(surplus, start, this.#dropped)
  }

  /** Stops trying. */
  giveUp(): void {
    this.#givenUp += this.pending
  }

  /** Rejects with the signal's reason only. */
  async run(init: FillingInit): Promise<FillingEnd> {
    const { clock, hold } = this.#components
    for (const [kind, pages] of byKind(this.#plan.claim)) {
      for (let start = 0; start < pages.count; start += CLAIM_PAGES) {
        await hold.released(clock, init.signal)
        await this.#claim(partOf(pages, start, Math.min(pages.count, start + CLAIM_PAGES)), kind, init.signal)
      }
    }
    let badBatches = 0
    for (const [kind, pages] of byKind(this.#plan.fetch)) {
      for (let start = 0; start < pages.count; start += FETCH_PAGES) {
        await hold.released(clock, init.signal)
        if (clock.now() >= init.until) return 'late'
        const batch = partOf(pages, start, Math.min(pages.count, start + FETCH_PAGES))
        const { missing, refused } = await this.#fetch(batch, kind, init)
        badBatches = missing * 2 > batch.count ? badBatches + 1 : 0
        // Pages that do not fit would only be fetched again and again.
        if (badBatches === BAD_BATCHES_MAX || refused * 2 > batch.count) return 'hopeless'
      }
    }
    return 'tried'
  }

  /** Gives kept pages a better kind; pages dropped meanwhile are skipped. */
  async #claim(pages: Prefixes, kind: PageKind, signal: AbortSignal): Promise<void> {
    const { store, hasher } = this.#components
    const ids = idsOf(pages)
    const batch = new PageBatch(ids, undefined, PREFIX_BYTES)
    await store.source.fill(batch, signal)
    const filled: number[] = []
    for (let i = 0; i < batch.count; i++) if (batch.isFilled(i)) filled.push(i)
    const count = filled.length
    closeUp(batch.bytes, filled, PAGE_BYTES)
    const whole = Buffer.alloc(count * ID_BYTES)
    const offsets = Uint32Array.from({ length: count }, (_, page) => page * PAGE_BYTES)
    hasher.hashLike(batch.bytes, offsets, count, idsAt(ids, filled), whole)
    await store.put({ ids: whole, bytes: batch.bytes, count }, kind)
  }

  /** Returns how many pages did not come, and how many did not fit. */
  async #fetch(
    pages: Prefixes, kind: PageKind, { holdersOf, onMissing, signal }: FillingInit,
  ): Promise<{ missing: number; refused: number }> {
    const { swap, store } = this.#components
    const hasCome = new Uint8Array(pages.count)
    let refused = 0
    const deliver = async (arrived: ArrivedPages): Promise<void> => {
      for (let i = 0; i < arrived.count; i++) hasCome[arrived.indices[i]!] = 1
      const kept = await this.#put(arrived, kind)
      refused += arrived.count - kept
      this.#fetched += kept
      this.#givenUp += arrived.count - kept
    }
    await store.remove(this.takeSurplus(pages.count - (store.pagesMax - store.pages)))
    const wanted = { ...pages, holdersOf: (index: number) => holdersOf(pages.high[index]!, pages.low[index]!) }
    const { missing } = await swap.fetch(wanted, { purpose: 'placement', deliver, signal })
    for (let i = 0; i < pages.count; i++) if (hasCome[i] === 0) onMissing(pages.high[i]!, pages.low[i]!)
    this.#givenUp += missing
    return { missing, refused }
  }

  /** Returns how many pages were stored. */
  async #put({ ids, bytes, count }: ArrivedPages, kind: PageKind): Promise<number> {
    const pages = { ids: ids.subarray(0, count * ID_BYTES), bytes: bytes.subarray(0, count * PAGE_BYTES), count }
    const { refused } = await this.#components.store.put(pages, kind)
    return count - refused
  }
}

function byKind(pages: PlannedPages): [PageKind, Prefixes][] {
  return [['head', partOf(pages, 0, pages.headCount)], ['tail', partOf(pages, pages.headCount, pages.count)]]
}

function partOf({ high, low }: Prefixes, start: number, end: number): Prefixes {
  return { high: high.subarray(start, end), low: low.subarray(start, end), count: end - start }
}
