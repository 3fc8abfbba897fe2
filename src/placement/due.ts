import type { Clock } from '../runtime/clock.ts'
import type { Random } from '../runtime/random.ts'

/** Looks at whether there is something to plan, a share of the interval apart, within these bounds, ms. */
const LOOKS_PER_INTERVAL = 12
const LOOK_MS_MIN = 100
const LOOK_MS_MAX = 5_000
/** Plans are made an interval apart, more or less by such a share of it, so that hosts do not chime. */
const JITTER = 0.1
/** A view that grew by so much since the plan is planned for at once, as soon as it no longer grows. */
const GROWTH = 1.25
/** A view that grew by no more since the last look has come to rest. */
const REST_GROWTH = 1.02
/**
 * For how many looks it must be at rest before the first plan: one, or more where pages are kept already, which a view
 * that is still filling would not know and give up for others.
 */
const REST_LOOKS = { empty: 1, filled: 6 }
/** So long after the start a view is no longer expected, because the mesh has nothing in common: intervals, and ms. */
const EXPECTED_INTERVALS = 2
const EXPECTED_MS_MAX = 30_000
/** A guest whose first scan takes longer does not hold up the plans any more, intervals. */
const SCAN_INTERVALS_MAX = 2
/** When nothing could be had: intervals of rest, twice as many each time, up to so many. */
const REST_INTERVALS_MAX = 8

/** What is to be seen when one looks. */
export interface Sight {
  /** Pages that are known to be popular. */
  viewPages: number
  /** Whether there is anybody else. */
  hasMembers: boolean
  /** Whether every guest has been scanned since it appeared. */
  isScanned: boolean
  /** Whether any page is kept. */
  isFilled: boolean
}

/** When to plan: soon after the view has filled, then every interval, and later when nothing could be had. */
export class Due {
  readonly lookMs: number
  readonly #clock: Clock
  readonly #random: Random
  readonly #intervalMs: number
  #begunAt = 0
  #nextAt = 0
  #restIntervals = 0
  /** The view at the last look, and what it was when it was planned for; 0: no plan yet. */
  #lastPages = 0
  #plannedPages = 0
  /** Looks since the view grew last. */
  #restLooks = 0
  #scannedAt = 0

  constructor({ clock, random }: { clock: Clock; random: Random }, { intervalMs }: { intervalMs: number }) {
    this.#clock = clock
    this.#random = random
    this.#intervalMs = intervalMs
    this.lookMs = Math.min(LOOK_MS_MAX, Math.max(LOOK_MS_MIN, intervalMs / LOOKS_PER_INTERVAL))
  }

  /** When the next plan is made, if nothing happens before. */
  get nextAt(): number {
    return this.#nextAt
  }

  begin(): void {
    this.#begunAt = this.#clock.now()
    this.#scannedAt = this.#begunAt
    this.#nextAt = this.#begunAt
    this.#lastPages = 0
    this.#plannedPages = 0
    this.#restLooks = 0
    this.#restIntervals = 0
  }

  /** Whether a plan is to be made now. */
  look({ viewPages, isScanned, isFilled }: Sight): boolean {
    const now = this.#clock.now()
    this.#restLooks = viewPages <= this.#lastPages * REST_GROWTH ? this.#restLooks + 1 : 0
    this.#lastPages = viewPages
    if (isScanned) this.#scannedAt = now
    if (viewPages === 0 && this.#plannedPages === 0) return false
    // What guests hold that were not scanned yet would be fetched although it is here.
    if (now - this.#scannedAt > 0 && now - this.#scannedAt < SCAN_INTERVALS_MAX * this.#intervalMs) return false
    if (this.#plannedPages > 0) return now >= this.#nextAt || (this.#restLooks > 0 && this.#isOutgrown(viewPages))
    const isOld = now - this.#begunAt >= EXPECTED_INTERVALS * this.#intervalMs
    return now >= this.#nextAt && (isOld || this.#restLooks >= (isFilled ? REST_LOOKS.filled : REST_LOOKS.empty))
  }

  /** Whether there is, or soon will be, something popular that no plan has considered. */
  isAwaited({ viewPages, hasMembers }: Sight): boolean {
    if (this.#plannedPages > 0) return this.#isOutgrown(viewPages)
    if (viewPages > 0) return this.#restIntervals === 0
    const expectedMs = Math.min(EXPECTED_MS_MAX, EXPECTED_INTERVALS * this.#intervalMs)
    return hasMembers && this.#clock.now() - this.#begunAt < expectedMs
  }

  /** A plan was made for a view of so many pages. */
  planned(viewPages: number): void {
    this.#plannedPages = Math.max(1, viewPages)
    this.#nextAt = this.#clock.now() + this.#intervalMs * (1 + JITTER * (2 * this.#random.fraction() - 1))
  }

  /** A pass came to its end; if it was late, what is left is planned anew at once. */
  succeeded(isLate: boolean): void {
    this.#restIntervals = 0
    if (isLate) this.#nextAt = this.#clock.now()
  }

  /** Nothing could be had: waits longer every time. */
  rest(): void {
    this.#restIntervals = Math.min(REST_INTERVALS_MAX, Math.max(1, this.#restIntervals * 2))
    this.#nextAt = this.#clock.now() + this.#restIntervals * this.#intervalMs
  }

  /** Whether the view has grown much since the plan, and pages can be had. */
  #isOutgrown(viewPages: number): boolean {
    return this.#restIntervals === 0 && viewPages > this.#plannedPages * GROWTH
  }
}
