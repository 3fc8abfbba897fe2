import type { Member, Mesh, Standing } from '../mesh/index.ts'
import { ID_BYTES, PAGE_BYTES, type PageHasher, type PrefixTable, type Prefixes } from '../page/index.ts'
import type { Clock } from '../runtime/clock.ts'
import type { Log } from '../runtime/log.ts'
import { deferred } from '../runtime/wait.ts'
import { checkAnswer, type CheckedAnswer } from './arrival.ts'
import type { Outcome } from './askingsession.ts'
import { blame, WEIGHT } from './blame.ts'
import type { ProactiveCap, Reservation } from './cap.ts'
import type { ArrivedPages, FetchCounts, FetchInit, SwapPurpose, WantedPages } from './index.ts'
import type { InFlight } from './inflight.ts'
import { LIMITS } from './limits.ts'
import { FetchPlan } from './plan.ts'
import type { HolderRatings } from './ratings.ts'
import type { Sessions } from './sessions.ts'
import type { Answer } from './wire.ts'

/** Batches of one holder that are under way for this host: while one is read, another travels. */
const WANTS_PER_HOLDER = 3
/** Batches of one fetch that are asked for or not yet delivered: 16 MiB of pages. */
const BATCHES_MAX = 16
/** A batch is not cut smaller than this to spread what is left over more holders. */
const SHARE_PAGES_MIN = 16
/** A page is left to a holder that has enough to do if it would bring it so much sooner than one that is free. */
const FASTER_FACTOR = 2
/** How soon it looks again whether that still holds, ms. */
const FASTER_LOOK_MS = 25
/** A fetch to which nothing came for so long, and of which nothing is under way, gives the rest up, ms. */
const PATIENCE_MS: Readonly<Record<SwapPurpose, number>> = { handoff: 3_000, placement: 30_000 }

export interface FetchComponents {
  mesh: Mesh
  clock: Clock
  log: Log
  hasher: PageHasher
  standing: Standing
  ratings: HolderRatings
  sessions: Sessions
  cap: ProactiveCap
  inFlight: Readonly<Record<SwapPurpose, InFlight>>
  counts: { fetched: number; missing: number; wrong: number }
}

interface Candidate {
  number: number
  holder: Member
  expectedMs: number
}

interface Batch {
  holder: Member
  number: number
  /** Which of the wanted pages, and their prefixes. */
  indices: Uint32Array
  prefixes: Prefixes
  isReleased: boolean
}

/** One fetch while it runs. */
export class Fetch {
  readonly #components: FetchComponents
  readonly #wanted: WantedPages
  readonly #init: FetchInit
  readonly #plan: FetchPlan
  readonly #onArrival: (pages: ArrivedPages, wanted: WantedPages) => void
  /** Holders by their number in the plan. */
  readonly #names: string[] = []
  readonly #numbers = new Map<string, number>()
  readonly #batches = new Set<Batch>()
  #delivering: Promise<void> = Promise.resolve()
  #deliveryError: { reason: unknown } | undefined
  #undelivered = 0
  #waitsForFaster = false
  #wake = deferred<void>()
  #movedAt: number
  #isOver = false

  /** @param onArrival takes pages that came, before they are delivered, for others who wait for the same. */
  constructor(
    components: FetchComponents, wanted: WantedPages, init: FetchInit,
    onArrival: (pages: ArrivedPages, wanted: WantedPages) => void,
  ) {
    this.#components = components
    this.#wanted = wanted
    this.#init = init
    this.#onArrival = onArrival
    this.#movedAt = components.clock.now()
    this.#plan = new FetchPlan(wanted, (name) => this.#numberOf(name))
  }

  async run(): Promise<FetchCounts> {
    const { signal } = this.#init
    const abort = (): void => this.wake()
    signal.addEventListener('abort', abort, { once: true })
    try {
      while (!this.#plan.isOver || this.#undelivered > 0) {
        signal.throwIfAborted()
        const woken = this.#wake.promise
        if (!await this.#askNext()) await this.#wait(woken)
        if (this.#deliveryError !== undefined) throw this.#deliveryError.reason
      }
      const { fetched, missing } = this.#plan
      this.#components.counts.missing += missing
      return { fetched, missing }
    } finally {
      this.#isOver = true
      signal.removeEventListener('abort', abort)
      for (const batch of this.#batches) this.#release(batch)
    }
  }

  /** Looks again: something changed. */
  wake(): void {
    this.#wake.resolve()
    this.#wake = deferred()
  }

  /** Ends it: what has not come is missing. */
  giveUp(): void {
    for (const batch of this.#batches) this.#fail(batch, true)
    this.#plan.giveUp()
    this.wake()
  }

  /** Takes what another fetch got, where this one waits for it too. */
  share(pages: ArrivedPages, places: PrefixTable): void {
    if (this.#isOver || this.#undelivered >= BATCHES_MAX) return
    const indices: number[] = []
    const from: number[] = []
    this.#plan.forEachWaiting((index, high, low) => {
      const place = places.get(high, low)
      if (place < 0) return
      indices.push(index)
      from.push(place)
    })
    if (indices.length === 0) return
    const own: ArrivedPages = {
      count: indices.length,
      ids: Buffer.concat(from.map((place) => pages.ids.subarray(place * ID_BYTES, (place + 1) * ID_BYTES))),
      bytes: Buffer.concat(from.map((place) => pages.bytes.subarray(place * PAGE_BYTES, (place + 1) * PAGE_BYTES))),
      indices: Uint32Array.from(indices),
    }
    for (const index of indices) this.#plan.arrived(index)
    this.#deliver(own)
    this.wake()
  }

  /** Asks for one more batch; false if there is nothing to ask, or nobody who can be asked now. */
  async #askNext(): Promise<boolean> {
    const { cap } = this.#components
    const { purpose, signal } = this.#init
    if (purpose === 'placement' && cap.isHeld) return false
    if (this.#batches.size + this.#undelivered >= BATCHES_MAX) return false
    const batch = this.#nextBatch()
    if (batch === undefined) return false
    this.#batches.add(batch)
    if (purpose === 'handoff') {
      void this.#run(batch)
      return true
    }
    const reservation = await cap.reserve(batch.prefixes.count, signal)
    if (cap.isHeld || batch.isReleased) {
      reservation.settle(0)
      this.#fail(batch, false)
    } else void this.#run(batch, reservation)
    return true
  }

  /** The next pages, and whom to ask for them: the nearest and least busy of those who may have some. */
  #nextBatch(): Batch | undefined {
    const { cap } = this.#components
    const isCapped = this.#init.purpose === 'placement'
    const { free, full } = this.#candidates()
    const share = Math.max(SHARE_PAGES_MIN, Math.ceil(this.#plan.open / free.length))
    const pagesMax = Math.min(isCapped ? cap.pagesPerWant : LIMITS.pagesPerWant, share)
    this.#waitsForFaster = false
    for (const candidate of free) {
      const faster = this.#fasterOf(full, candidate, pagesMax)
      if (faster !== undefined) this.#waitsForFaster = true
      const indices = this.#plan.choose(candidate.number, pagesMax, this.#accept, faster?.number)
      if (indices.length > 0) return this.#batchOf(candidate, indices)
    }
    return undefined
  }

  /** Who may be asked for one more batch now, the soonest to bring it first; and who has enough to do already. */
  #candidates(): { free: Candidate[]; full: Candidate[] } {
    const { sessions, ratings } = this.#components
    const free: Candidate[] = []
    const full: Candidate[] = []
    for (const [number, name] of this.#names.entries()) {
      if (this.#plan.openOf(number) === 0) continue
      const holder = this.#askable(name)
      if (holder === undefined) {
        this.#plan.drop(number)
        continue
      }
      if (ratings.passedOverMs(name) > 0 || sessions.isShut(name, this.#init.purpose)) continue
      const isFull = sessions.wantsOf(name, this.#init.purpose) >= WANTS_PER_HOLDER
      const candidates = isFull ? full : free
      candidates.push({ number, holder, expectedMs: ratings.expectedMs(name, 1) })
    }
    free.sort((a, b) => a.expectedMs - b.expectedMs)
    return { free, full }
  }

  /** Someone who has enough to do, and would bring this batch much sooner all the same. */
  #fasterOf(full: readonly Candidate[], { holder }: Candidate, pages: number): Candidate | undefined {
    const { ratings } = this.#components
    const limitMs = ratings.expectedMs(holder.name, pages) / FASTER_FACTOR
    return full.find((other) => ratings.expectedMs(other.holder.name, pages) < limitMs)
  }

  /** A guest that arrives does not wait for what proactive traffic is slow to bring; all others wait for each other. */
  readonly #accept = (high: number, low: number): boolean => {
    const { inFlight } = this.#components
    const { purpose } = this.#init
    return (purpose === 'handoff' || !inFlight.handoff.has(high, low)) && inFlight[purpose].add(high, low)
  }

  #batchOf({ holder, number }: Candidate, indices: Uint32Array): Batch {
    const prefixes: Prefixes = {
      count: indices.length,
      high: indices.map((index) => this.#wanted.high[index]!),
      low: indices.map((index) => this.#wanted.low[index]!),
    }
    return { holder, number, indices, prefixes, isReleased: false }
  }

  /** Asks and takes what comes; never rejects. */
  async #run(batch: Batch, reservation?: Reservation): Promise<void> {
    const { sessions, ratings, clock } = this.#components
    const { name } = batch.holder
    const askedAt = clock.now()
    ratings.asked(name, batch.prefixes.count)
    const outcome = await sessions.with(batch.holder, this.#init.purpose).ask(batch.prefixes)
    ratings.ended(name, batch.prefixes.count)
    // Of what broke off midway nobody knows how much had come: all of it counts.
    if (outcome.status === 'broken') reservation?.settle(Infinity)
    else reservation?.settle(outcome.status === 'shut' ? 0 : outcome.bodyBytes)
    if (outcome.status === 'pages') ratings.answered(name, batch.prefixes.count, askedAt)
    this.#take(batch, outcome)
  }

  #take(batch: Batch, outcome: Outcome): void {
    const { ratings } = this.#components
    if (outcome.status === 'pages') {
      this.#takePages(batch, outcome)
      return
    }
    if (outcome.status === 'busy') ratings.refused(batch.holder.name)
    this.#fail(batch, outcome.status === 'broken')
  }

  #takePages(batch: Batch, answer: Extract<Answer, { status: 'pages' }>): void {
    const { hasher, ratings, counts } = this.#components
    let checked: CheckedAnswer
    try {
      checked = checkAnswer(answer, batch.prefixes, hasher)
    } catch {
      ratings.failed(batch.holder.name)
      blame(this.#components, batch.holder, WEIGHT.dishonest, 'pages that cannot be unpacked')
      this.#fail(batch, true)
      return
    }
    if (checked.wrong.length > 0) {
      counts.wrong += checked.wrong.length
      blame(this.#components, batch.holder, WEIGHT.dishonest * checked.wrong.length, 'wrong pages')
    }
    const isWaiting = !batch.isReleased && !this.#isOver
    this.#release(batch)
    if (isWaiting) {
      const pages: ArrivedPages = {
        count: checked.right.length, ids: checked.ids, bytes: checked.bytes,
        indices: checked.right.map((place) => batch.indices[place]!),
      }
      this.#arrive(pages)
      for (const place of checked.lacking) this.#plan.failed(batch.indices[place]!, batch.number, true)
      for (const place of checked.wrong) this.#plan.failed(batch.indices[place]!, batch.number, true)
    }
    this.#batches.delete(batch)
    this.wake()
  }

  #arrive(pages: ArrivedPages): void {
    if (pages.count === 0) return
    this.#movedAt = this.#components.clock.now()
    this.#components.counts.fetched += pages.count
    // What came from elsewhere in the meantime is not delivered twice.
    let kept = 0
    this.#onArrival(pages, this.#wanted)
    for (let page = 0; page < pages.count; page++) {
      const index = pages.indices[page]!
      if (!this.#plan.arrived(index)) continue
      if (kept < page) {
        pages.indices[kept] = index
        pages.ids.copy(pages.ids, kept * ID_BYTES, page * ID_BYTES, (page + 1) * ID_BYTES)
        pages.bytes.copy(pages.bytes, kept * PAGE_BYTES, page * PAGE_BYTES, (page + 1) * PAGE_BYTES)
      }
      kept += 1
    }
    if (kept === 0) return
    this.#deliver({
      count: kept,
      ids: pages.ids.subarray(0, kept * ID_BYTES),
      bytes: pages.bytes.subarray(0, kept * PAGE_BYTES),
      indices: pages.indices.subarray(0, kept),
    })
  }

  #deliver(pages: ArrivedPages): void {
    this.#undelivered += 1
    this.#delivering = this.#delivering.then(async () => {
      if (!this.#isOver && this.#deliveryError === undefined) await this.#init.deliver(pages)
    }).catch((reason: unknown) => {
      this.#deliveryError ??= { reason }
    }).then(() => {
      this.#undelivered -= 1
      this.wake()
    })
  }

  /** Nothing came of a batch: its pages are open again. */
  #fail(batch: Batch, isTried: boolean): void {
    if (!batch.isReleased) {
      this.#release(batch)
      if (!this.#isOver) for (const index of batch.indices) this.#plan.failed(index, batch.number, isTried)
    }
    this.#batches.delete(batch)
    this.wake()
  }

  #release(batch: Batch): void {
    if (batch.isReleased) return
    batch.isReleased = true
    const { count, high, low } = batch.prefixes
    const inFlight = this.#components.inFlight[this.#init.purpose]
    for (let i = 0; i < count; i++) inFlight.remove(high[i]!, low[i]!)
  }

  /** Waits until something happens, a holder may be asked again, or patience ends. */
  async #wait(woken: Promise<void>): Promise<void> {
    const { clock, ratings, cap } = this.#components
    const { purpose } = this.#init
    if (purpose === 'placement' && cap.isHeld) this.#movedAt = clock.now()
    const isIdle = this.#batches.size === 0 && this.#undelivered === 0
    const leftMs = this.#movedAt + PATIENCE_MS[purpose] - clock.now()
    if (isIdle && leftMs <= 0) {
      this.#plan.giveUp()
      return
    }
    let waitMs = this.#waitsForFaster ? FASTER_LOOK_MS : isIdle ? leftMs : PATIENCE_MS[purpose]
    for (const [number, name] of this.#names.entries()) {
      const passedOverMs = ratings.passedOverMs(name)
      if (this.#plan.openOf(number) > 0 && passedOverMs > 0) waitMs = Math.min(waitMs, passedOverMs)
    }
    const timer = clock.after(Math.max(1, waitMs), () => this.wake())
    await woken
    timer.cancel()
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
