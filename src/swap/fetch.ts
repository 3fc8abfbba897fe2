import type { Mesh, Standing } from '../mesh/index.ts'
import type { PageVerifier, PrefixTable } from '../page/index.ts'
import type { Clock } from '../runtime/clock.ts'
import type { Log } from '../runtime/log.ts'
import { deferred } from '../runtime/wait.ts'
import type { ArrivedPages, FetchCounts, FetchInit, SwapPurpose, WantedPages } from './api.ts'
import { checkAnswer, type CheckedAnswer } from './arrival.ts'
import type { Outcome } from './askingsession.ts'
import { blame, WEIGHT } from './blame.ts'
import type { ProactiveCap, Reservation } from './cap.ts'
import { Chooser, type Batch } from './chooser.ts'
import { copyPages, Delivery, keepPages } from './delivery.ts'
import type { Answer } from './frames.ts'
import type { InFlight } from './inflight.ts'
import { LIMITS } from './limits.ts'
import type { HolderRatings } from './ratings.ts'
import type { Sessions } from './sessions.ts'

/** Batches of one fetch that are under way or not yet delivered: 16 MiB of pages. */
const BATCHES_MAX = 16
/** A fetch that received nothing for this long, and has nothing under way, gives up the rest, ms. */
const PATIENCE_MS: Readonly<Record<SwapPurpose, number>> = { handoff: 3_000, placement: 30_000 }

export interface FetchComponents {
  mesh: Mesh
  clock: Clock
  log: Log
  hasher: PageVerifier
  standing: Standing
  ratings: HolderRatings
  sessions: Sessions
  cap: ProactiveCap
  inFlight: Readonly<Record<SwapPurpose, InFlight>>
  counts: { fetched: number; missing: number; wrong: number }
}

/** One running fetch: asks, takes what arrives, and asks other holders for the rest. */
export class Fetch {
  readonly #components: FetchComponents
  readonly #init: FetchInit
  readonly #chooser: Chooser
  readonly #delivery: Delivery
  readonly #onArrival: (pages: ArrivedPages) => void
  readonly #batches = new Set<Batch>()
  #wake = deferred<void>()
  #movedAt: number
  #isOver = false

  /** @param onArrival sees arrived pages before they are delivered, for other fetches of the same pages. */
  constructor(
    components: FetchComponents, wanted: WantedPages, init: FetchInit, onArrival: (pages: ArrivedPages) => void,
  ) {
    this.#components = components
    this.#init = init
    this.#onArrival = onArrival
    this.#movedAt = components.clock.now()
    this.#chooser = new Chooser(components, { wanted, purpose: init.purpose })
    this.#delivery = new Delivery(init.deliver, () => this.wake())
  }

  /** Rejects with the signal's reason, or with the error of `deliver`. */
  async run(): Promise<FetchCounts> {
    const { signal } = this.#init
    const { plan } = this.#chooser
    const abort = (): void => this.wake()
    signal.addEventListener('abort', abort, { once: true })
    try {
      while (!plan.isOver || this.#delivery.waiting > 0) {
        signal.throwIfAborted()
        const woken = this.#wake.promise
        if (!await this.#askNext()) await this.#wait(woken)
        this.#delivery.throwIfFailed()
      }
      this.#components.counts.missing += plan.missing
      return { fetched: plan.fetched, missing: plan.missing }
    } finally {
      this.#isOver = true
      this.#delivery.end()
      signal.removeEventListener('abort', abort)
      for (const batch of this.#batches) this.#chooser.release(batch)
    }
  }

  /** Something changed: check again. */
  wake(): void {
    this.#wake.resolve()
    this.#wake = deferred()
  }

  /** Ends it: pages that have not arrived are missing. */
  giveUp(): void {
    for (const batch of this.#batches) this.#fail(batch, true)
    this.#chooser.plan.giveUp()
    this.wake()
  }

  /** Takes pages that another fetch got, if this one waits for them too, unless its deliveries are backed up. */
  share(pages: ArrivedPages, places: PrefixTable): void {
    if (this.#isOver || this.#delivery.waiting >= BATCHES_MAX) return
    const { plan } = this.#chooser
    const indices: number[] = []
    const from: number[] = []
    plan.forEachWaiting((index, high, low) => {
      const place = places.get(high, low)
      if (place < 0) return
      indices.push(index)
      from.push(place)
    })
    if (indices.length === 0) return
    for (const index of indices) plan.arrived(index)
    this.#delivery.add(copyPages(pages, from, indices))
    this.#movedAt = this.#components.clock.now()
    this.wake()
  }

  /** Asks for one more batch; false if there is nothing to ask, or nobody to ask now. */
  async #askNext(): Promise<boolean> {
    const { cap } = this.#components
    const { purpose, signal } = this.#init
    const isCapped = purpose === 'placement'
    if (isCapped && cap.isHeld) return false
    if (this.#batches.size + this.#delivery.waiting >= BATCHES_MAX) return false
    const batch = this.#chooser.next(isCapped ? cap.pagesPerWant : LIMITS.pagesPerWant)
    if (batch === undefined) return false
    this.#batches.add(batch)
    const reservation = isCapped ? await cap.reserve(batch.prefixes.count, signal) : undefined
    if ((isCapped && cap.isHeld) || batch.isReleased) {
      reservation?.settle(0)
      this.#fail(batch, false)
    } else {
      // Never rejects: its result is noted with the batch.
      void this.#run(batch, reservation)
    }
    return true
  }

  /** Asks and takes the answer; never rejects. */
  async #run(batch: Batch, reservation: Reservation | undefined): Promise<void> {
    const { sessions, ratings, clock } = this.#components
    const { name } = batch.holder
    const { count } = batch.prefixes
    const askedAt = clock.now()
    ratings.asked(name, count)
    const outcome = await sessions.with(batch.holder, this.#init.purpose).ask(batch.prefixes)
    ratings.ended(name, count)
    // It is unknown how much of a broken answer had arrived: all of it counts.
    if (outcome.status === 'broken') reservation?.settle(Infinity)
    else reservation?.settle(outcome.status === 'shut' ? 0 : outcome.bodyBytes)
    if (outcome.status === 'pages') ratings.answered(name, count, askedAt)
    if (outcome.status === 'busy') ratings.refused(name)
    this.#onOutcome(batch, outcome)
  }

  #onOutcome(batch: Batch, outcome: Outcome): void {
    const checked = outcome.status === 'pages' ? this.#check(batch, outcome) : undefined
    if (checked === undefined) {
      this.#fail(batch, outcome.status === 'pages' || outcome.status === 'broken')
      return
    }
    const { plan } = this.#chooser
    const isWaiting = !batch.isReleased && !this.#isOver
    this.#chooser.release(batch)
    this.#batches.delete(batch)
    if (isWaiting) {
      const { right, ids, bytes, lacking, wrong } = checked
      this.#arrive({ count: right.length, ids, bytes, indices: right.map((place) => batch.indices[place]!) })
      for (const place of lacking) plan.failed(batch.indices[place]!, batch.number, true)
      for (const place of wrong) plan.failed(batch.indices[place]!, batch.number, true)
    }
    this.wake()
  }

  /** Hashes an answer; undefined if it cannot be one. */
  #check(batch: Batch, answer: Extract<Answer, { status: 'pages' }>): CheckedAnswer | undefined {
    const { hasher, ratings, counts } = this.#components
    try {
      const checked = checkAnswer(answer, batch.prefixes, hasher)
      const wrong = checked.wrong.length
      counts.wrong += wrong
      if (wrong > 0) blame(this.#components, batch.holder, WEIGHT.dishonest * wrong, 'wrong pages')
      return checked
    } catch {
      // A malformed answer is the holder's fault, and costs it standing.
      ratings.failed(batch.holder.name)
      blame(this.#components, batch.holder, WEIGHT.dishonest, 'pages that cannot be unpacked')
      return undefined
    }
  }

  #arrive(pages: ArrivedPages): void {
    if (pages.count === 0) return
    const { clock, counts } = this.#components
    this.#movedAt = clock.now()
    counts.fetched += pages.count
    this.#onArrival(pages)
    // Pages that arrived from elsewhere meanwhile are not delivered twice.
    this.#delivery.add(keepPages(pages, (index) => this.#chooser.plan.arrived(index)))
  }

  /** A batch failed: its pages are open again. */
  #fail(batch: Batch, isTried: boolean): void {
    if (!batch.isReleased) {
      this.#chooser.release(batch)
      if (!this.#isOver) for (const index of batch.indices) this.#chooser.plan.failed(index, batch.number, isTried)
    }
    this.#batches.delete(batch)
    this.wake()
  }

  /** Waits until something happens, a holder may be asked again, or the fetch gives up. */
  async #wait(woken: Promise<void>): Promise<void> {
    const { clock, cap } = this.#components
    const { purpose } = this.#init
    if (purpose === 'placement' && cap.isHeld) this.#movedAt = clock.now()
    const isIdle = this.#batches.size === 0 && this.#delivery.waiting === 0
    const leftMs = this.#movedAt + PATIENCE_MS[purpose] - clock.now()
    if (isIdle && leftMs <= 0) {
      this.#chooser.plan.giveUp()
      return
    }
    const waitMs = Math.min(this.#chooser.quietMs, isIdle ? leftMs : PATIENCE_MS[purpose])
    const timer = clock.after(Math.max(1, waitMs), () => this.wake())
    await woken
    timer.cancel()
  }
}
