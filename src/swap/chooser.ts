import type { Member, Mesh, Standing } from '../mesh/index.ts'
import type { Prefixes } from '../page/index.ts'
import type { SwapPurpose, WantedPages } from './api.ts'
import type { InFlight } from './inflight.ts'
import { FetchPlan } from './plan.ts'
import type { HolderRatings } from './ratings.ts'
import type { Sessions } from './sessions.ts'

/** Batches of one holder under way for this host: while one is read, another travels. */
const WANTS_PER_HOLDER = 3
/** The last pages are spread over several holders in batches no smaller than this. */
const SHARE_PAGES_MIN = 16
/** A page is left to a busy holder that would deliver it this many times sooner than a free one. */
const FASTER_FACTOR = 2
/** How soon to check that again, ms. */
const FASTER_LOOK_MS = 25

interface Components {
  mesh: Mesh
  standing: Standing
  ratings: HolderRatings
  sessions: Sessions
  inFlight: Readonly<Record<SwapPurpose, InFlight>>
}

/** Pages that one holder is asked for at once. */
export interface Batch {
  holder: Member
  /** The holder's number in the plan. */
  number: number
  /** Indices of the pages among the wanted, and their prefixes. */
  indices: Uint32Array
  prefixes: Prefixes
  /** They no longer count as in flight. */
  isReleased: boolean
}

interface Candidate {
  number: number
  holder: Member
  expectedMs: number
}

/** Decides for one fetch which holder to ask next for which pages, and tracks what is in flight for it. */
export class Chooser {
  readonly plan: FetchPlan
  readonly #components: Components
  readonly #wanted: WantedPages
  readonly #purpose: SwapPurpose
  /** Names of holders by their number in the plan. */
  readonly #names: string[] = []
  readonly #numbers = new Map<string, number>()
  #waitsForFaster = false

  constructor(components: Components, init: { wanted: WantedPages; purpose: SwapPurpose }) {
    this.#components = components
    this.#wanted = init.wanted
    this.#purpose = init.purpose
    this.plan = new FetchPlan(init.wanted, (name) => this.#numberOf(name))
  }

  /**
   * The most urgent pages that can be asked for now, of the holder that delivers them soonest; they count as in flight.
   */
  next(pagesMax: number): Batch | undefined {
    const { free, full } = this.#candidates()
    const share = Math.max(SHARE_PAGES_MIN, Math.ceil(this.plan.open / free.length))
    const pages = Math.min(pagesMax, share)
    this.#waitsForFaster = false
    for (const candidate of free) {
      const faster = this.#fasterOf(full, candidate, pages)
      if (faster !== undefined) this.#waitsForFaster = true
      const indices = this.plan.choose(candidate.number, pages, this.#accept, faster?.number)
      if (indices.length > 0) return this.#batchOf(candidate, indices)
    }
    return undefined
  }

  /** Time until something may change by itself, ms. */
  get quietMs(): number {
    let quietMs = this.#waitsForFaster ? FASTER_LOOK_MS : Infinity
    for (const [number, name] of this.#names.entries()) {
      const passedOverMs = this.#components.ratings.passedOverMs(name)
      if (this.plan.openOf(number) > 0 && passedOverMs > 0) quietMs = Math.min(quietMs, passedOverMs)
    }
    return quietMs
  }

  /** The pages of a batch are no longer in flight: other fetches may ask for them. */
  release(batch: Batch): void {
    if (batch.isReleased) return
    batch.isReleased = true
    const { count, high, low } = batch.prefixes
    const inFlight = this.#components.inFlight[this.#purpose]
    for (let i = 0; i < count; i++) inFlight.remove(high[i]!, low[i]!)
  }

  /** Holders that may be asked for one more batch now, the soonest to deliver it first; and busy ones. */
  #candidates(): { free: Candidate[]; full: Candidate[] } {
    const { sessions, ratings } = this.#components
    const free: Candidate[] = []
    const full: Candidate[] = []
    for (const [number, name] of this.#names.entries()) {
      if (this.plan.openOf(number) === 0) continue
      const holder = this.#askable(name)
      if (holder === undefined) {
        this.plan.drop(number)
        continue
      }
      if (ratings.passedOverMs(name) > 0 || sessions.isShut(name, this.#purpose)) continue
      const isFull = sessions.wantsOf(name, this.#purpose) >= WANTS_PER_HOLDER
      const candidates = isFull ? full : free
      candidates.push({ number, holder, expectedMs: ratings.expectedMs(name, 1) })
    }
    free.sort((a, b) => a.expectedMs - b.expectedMs)
    return { free, full }
  }

  /** A busy holder that would still deliver this batch much sooner. */
  #fasterOf(full: readonly Candidate[], { holder }: Candidate, pages: number): Candidate | undefined {
    const { ratings } = this.#components
    const limitMs = ratings.expectedMs(holder.name, pages) / FASTER_FACTOR
    return full.find((other) => ratings.expectedMs(other.holder.name, pages) < limitMs)
  }

  /**
   * An arriving guest does not wait for pages that proactive traffic brings slowly; other fetches wait for each other.
   */
  readonly #accept = (high: number, low: number): boolean => {
    const { inFlight } = this.#components
    const isLeft = this.#purpose === 'placement' && inFlight.handoff.has(high, low)
    return !isLeft && inFlight[this.#purpose].add(high, low)
  }

  #batchOf({ holder, number }: Candidate, indices: Uint32Array): Batch {
    const prefixes: Prefixes = {
      count: indices.length,
      high: indices.map((index) => this.#wanted.high[index]!),
      low: indices.map((index) => this.#wanted.low[index]!),
    }
    return { holder, number, indices, prefixes, isReleased: false }
  }

  #askable(name: string): Member | undefined {
    const { mesh, standing } = this.#components
    const holder = mesh.member(name)
    return holder !== undefined && standing.isTrusted(holder.peerId) ? holder : undefined
  }

  #numberOf(name: string): number {
    let number = this.#numbers.get(name)
    if (number === undefined) {
      if (this.#askable(name) === undefined) return -1
      number = this.#names.push(name) - 1
      this.#numbers.set(name, number)
    }
    return number
  }
}
