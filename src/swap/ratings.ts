import type { Clock } from '../runtime/clock.ts'
import type { Random } from '../runtime/random.ts'

/** How long a holder is not asked after it broke off or stalled, ms: doubled each time in a row, up to the last. */
const FAILED_MS = { first: 2_000, last: 60_000 }
/** And after it said that it is busy. */
const BUSY_MS = { first: 50, last: 1_600 }
/** What a new measure counts against all before it. */
const NEWEST_SHARE = 0.3
/** A measure of nothing is still known; and of whom nothing is known not so much is expected that all goes there. */
const LEAST_MS = 0.001
const UNKNOWN_PAGE_MS = 0.02

/** How much lots may matter. */
const LOT_SHARE = 0.01

interface Rating {
  /** What a page took, from asking to its arrival, lately; 0 while nothing is known: then it is asked soon. */
  pageMs: number
  /** Pages asked for that are still to come. */
  pages: number
  /** When it last answered, or was asked while it owed nothing. */
  heardAt: number
  passedOverUntil: number
  failures: number
  refusals: number
  /** Decides between equals, so that not all hosts ask the same one first. */
  lot: number
}

/** How each holder has answered lately: the nearest and least busy is asked first. */
export class HolderRatings {
  readonly #clock: Clock
  readonly #random: Random
  readonly #ratings = new Map<string, Rating>()

  constructor(components: { clock: Clock; random: Random }) {
    this.#clock = components.clock
    this.#random = components.random
  }

  /** Of a host that left the mesh nothing is kept; so there are never more than members, and those asked just now. */
  forget(name: string): void {
    this.#ratings.delete(name)
  }

  asked(name: string, pages: number): void {
    const rating = this.#of(name)
    if (rating.pages === 0) rating.heardAt = this.#clock.now()
    rating.pages += pages
  }

  /** A want is over, whatever came of it. */
  ended(name: string, pages: number): void {
    const rating = this.#of(name)
    rating.pages = Math.max(0, rating.pages - pages)
  }

  /** Wants queue at the holder: an answer took what passed since the one before it, or since it was asked for. */
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

  /** How long it is still passed over, ms. */
  passedOverMs(name: string): number {
    return Math.max(0, this.#of(name).passedOverUntil - this.#clock.now())
  }

  /**
   * When so many more pages would be here, about, ms from now: the lower the better. One who owes pages and has been
   * silent for longer than they take is not expected sooner than that.
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
