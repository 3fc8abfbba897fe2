import type { Clock } from '../runtime/clock.ts'
import type { Random } from '../runtime/random.ts'

/** Delay before a holder that broke off or stalled is asked again, ms: doubled at each failure in a row. */
const FAILED_MS = { first: 2_000, last: 60_000 }
/** The same for a holder that answered `busy`. */
const BUSY_MS = { first: 50, last: 1_600 }
/** Weight of the newest measurement in the moving average. */
const NEWEST_SHARE = 0.3
/**
 * Least measured time per page, and the assumed one of a holder never measured, which is not so low that it gets
 * everything.
 */
const LEAST_MS = 0.001
const UNKNOWN_PAGE_MS = 0.02

/** Largest effect of a lot on a holder's expected time. */
const LOT_SHARE = 0.01

interface Rating {
  /** Moving average of the time per page from want to arrival, ms; 0 while unknown. */
  pageMs: number
  /** Pages asked for that have not arrived. */
  pages: number
  /** When it last answered, or was asked while it owed nothing. */
  heardAt: number
  passedOverUntil: number
  failures: number
  refusals: number
  /** A random number that orders equal holders, so that not all hosts ask the same one first. */
  lot: number
}

/** How fast each holder has answered recently: the one that will deliver soonest is asked first. */
export class HolderRatings {
  readonly #clock: Clock
  readonly #random: Random
  readonly #ratings = new Map<string, Rating>()

  constructor(components: { clock: Clock; random: Random }) {
    this.#clock = components.clock
    this.#random = components.random
  }

  /** A host left the mesh. So there are never more ratings than members and holders asked just now. */
  forget(name: string): void {
    this.#ratings.delete(name)
  }

  asked(name: string, pages: number): void {
    const rating = this.#of(name)
    if (rating.pages === 0) rating.heardAt = this.#clock.now()
    rating.pages += pages
  }

  /** A want is over, with any outcome. */
  ended(name: string, pages: number): void {
    const rating = this.#of(name)
    rating.pages = Math.max(0, rating.pages - pages)
  }

  /** Wants queue at the holder: the time of an answer counts from the answer before it, or from its own want. */
  answered(name: string, pages: number, askedAt: number): void {
    const rating = this.#of(name)
    const tookMs = this.#clock.now() - Math.max(askedAt, rating.heardAt)
    const pageMs = Math.max(tookMs, LEAST_MS) / pages
    rating.pageMs = rating.pageMs === 0 ? pageMs : rating.pageMs * (1 - NEWEST_SHARE) + pageMs * NEWEST_SHARE
    rating.failures = rating.refusals = 0
    rating.heardAt = this.#clock.now()
  }

  failed(name: string): void {
    const rating = this.#of(name)
    this.#passOver(rating, Math.min(FAILED_MS.last, FAILED_MS.first * 2 ** rating.failures))
    rating.failures += 1
  }

  refused(name: string): void {
    const rating = this.#of(name)
    this.#passOver(rating, Math.min(BUSY_MS.last, BUSY_MS.first * 2 ** rating.refusals))
    rating.refusals += 1
  }

  /** Time until it may be asked again, ms. */
  passedOverMs(name: string): number {
    return Math.max(0, this.#of(name).passedOverUntil - this.#clock.now())
  }

  /**
   * Estimated time until this many more pages arrive, ms: lower is better. It is never less than the present silence of
   * a holder that owes pages.
   */
  expectedMs(name: string, more: number): number {
    const { pageMs, pages, heardAt, lot } = this.#of(name)
    const byRateMs = (pageMs === 0 ? UNKNOWN_PAGE_MS : pageMs) * (pages + more)
    const silentMs = pages === 0 ? 0 : this.#clock.now() - heardAt
    return Math.max(byRateMs, silentMs) * (1 + lot * LOT_SHARE)
  }

  #passOver(rating: Rating, forMs: number): void {
    rating.passedOverUntil = Math.max(rating.passedOverUntil, this.#clock.now() + forMs)
  }

  #of(name: string): Rating {
    let rating = this.#ratings.get(name)
    if (rating === undefined) {
      rating = {
        pageMs: 0, pages: 0, heardAt: 0, passedOverUntil: 0, failures: 0, refusals: 0, lot: this.#random.fraction(),
      }
      this.#ratings.set(name, rating)
    }
    return rating
  }
}
