import type { Clock } from '../runtime/clock.ts'
import type { Random } from '../runtime/random.ts'

/** Number of looks in an interval, and the bounds of the time between two looks, ms. */
const LOOKS_PER_INTERVAL = 12
const LOOK_MS_MIN = 100
const LOOK_MS_MAX = 5_000
/** Random share of the interval between plans, so that hosts do not plan at the same time. */
const JITTER = 0.1
/** A view that has grown by this factor since the plan is planned for as soon as it stops growing. */
const GROWTH = 1.25
/** A view that has grown by at most this factor since the last look is at rest. */
const REST_GROWTH = 1.02
/**
 * Looks at rest before the first plan. More are needed if the store holds pages: a view that is still filling would not
 * know them and drop them for others.
 */
const REST_LOOKS = { empty: 1, filled: 6 }
/** Time after the start when an empty view means that the mesh has no common pages: intervals, and ms. */
const EXPECTED_INTERVALS = 2
const EXPECTED_MS_MAX = 30_000
/** Longest delay of plans by a guest's first scan, intervals. */
const SCAN_INTERVALS_MAX = 2
/** Longest rest after passes that fetched nothing, intervals; doubled each time up to this. */
const REST_INTERVALS_MAX = 8

/** What a look sees. */
export interface Sight {
  /** Known popular pages. */
  viewPages: number
  /** Whether the mesh has other members. */
  hasMembers: boolean
  /** Whether every guest has been scanned since it appeared. */
  isScanned: boolean
  /** Whether the store holds any page. */
  isFilled: boolean
}

/** When to plan: soon after the view has filled, then every interval; less often while no pages can be fetched. */
export class Due {
  readonly lookMs: number
  readonly #clock: Clock
  readonly #random: Random
  readonly #intervalMs: number
  #begunAt = 0
  #nextAt = 0
  #restIntervals = 0
  /** Size of the view at the last look, and at the last plan; 0: no plan yet. */
  #lastPages = 0
  #plannedPages = 0
  /** Looks since the view last grew. */
  #restLooks = 0
  #scannedAt = 0

  constructor({ clock, random }: { clock: Clock; random: Random }, { intervalMs }: { intervalMs: number }) {
    this.#clock = clock
    this.#random = random
    this.#intervalMs = intervalMs
    this.lookMs = Math.min(LOOK_MS_MAX, Math.max(LOOK_MS_MIN, intervalMs / LOOKS_PER_INTERVAL))
  }

  /** Time of the next regular plan. */
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

  /** Whether to plan now. */
  look({ viewPages, isScanned, isFilled }: Sight): boolean {
    const now = this.#clock.now()
    this.#restLooks = viewPages <= this.#lastPages * REST_GROWTH ? this.#restLooks + 1 : 0
    this.#lastPages = viewPages
    if (isScanned) this.#scannedAt = now
    if (viewPages === 0 && this.#plannedPages === 0) return false
    // Pages of guests that were not scanned yet would be fetched although they are here.
    if (now - this.#scannedAt > 0 && now - this.#scannedAt < SCAN_INTERVALS_MAX * this.#intervalMs) return false
    if (this.#plannedPages > 0) return now >= this.#nextAt || (this.#restLooks > 0 && this.#isOutgrown(viewPages))
    const isOld = now - this.#begunAt >= EXPECTED_INTERVALS * this.#intervalMs
    return now >= this.#nextAt && (isOld || this.#restLooks >= (isFilled ? REST_LOOKS.filled : REST_LOOKS.empty))
  }

  /** Whether there are, or soon will be, popular pages that no plan has considered. */
  isAwaited({ viewPages, hasMembers }: Sight): boolean {
    if (this.#plannedPages > 0) return this.#isOutgrown(viewPages)
    if (viewPages > 0) return this.#restIntervals === 0
    const expectedMs = Math.min(EXPECTED_MS_MAX, EXPECTED_INTERVALS * this.#intervalMs)
    return hasMembers && this.#clock.now() - this.#begunAt < expectedMs
  }

  /** A plan was made for a view of `viewPages`. */
  planned(viewPages: number): void {
    this.#plannedPages = Math.max(1, viewPages)
    this.#nextAt = this.#clock.now() + this.#intervalMs * (1 + JITTER * (2 * this.#random.fraction() - 1))
  }

  /** A pass ended; if its time was over, the rest is planned anew at once. */
  succeeded(isLate: boolean): void {
    this.#restIntervals = 0
    if (isLate) this.#nextAt = this.#clock.now()
  }

  /** No pages could be fetched: waits longer each time. */
  rest(): void {
    this.#restIntervals = Math.min(REST_INTERVALS_MAX, Math.max(1, this.#restIntervals * 2))
    this.#nextAt = this.#clock.now() + this.#restIntervals * this.#intervalMs
  }

  /** Whether the view has grown much since the plan, and pages can be fetched. */
  #isOutgrown(viewPages: number): boolean {
    return this.#restIntervals === 0 && viewPages > this.#plannedPages * GROWTH
  }
}
