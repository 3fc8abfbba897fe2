import { PrefixRun } from '../../page/index.ts'
import { nextTurn } from '../../runtime/turn.ts'
import type { HeldPages } from '../api.ts'
import { LIMITS } from '../limits.ts'
import { firstHighOf, lastHighOf, restOf, SLICE_COUNT } from '../slice.ts'
import { ChangeLog } from './changelog.ts'
import type { ReportGroups } from './reportgroups.ts'

/** Versions of which the changes are kept at most; an owner that has an older one gets the whole. */
export const CHANGES_KEPT = 256
/** Pages processed before yielding to the event loop: some milliseconds. */
const TURN_PAGES = 32 * 1024
const TURN_SLICES = 512

/** The stable pages of this host as reported: 10 bytes a page, slice after slice. */
interface Contents {
  /** Start index of each slice, and the end of the last. */
  starts: Uint32Array
  rests: Float64Array
  guests: Uint16Array
}

/**
 * What this host reports: a version of the census' stable pages, and the changes of the last versions, so that an owner
 * that has one of them gets only the changes.
 */
export class Snapshot {
  #contents: Contents = {
    starts: new Uint32Array(SLICE_COUNT + 1), rests: new Float64Array(0), guests: new Uint16Array(0),
  }
  readonly #changes = new ChangeLog({ version: 1, versionsMax: CHANGES_KEPT })
  #version = 1

  /** From 1; rises when pages changed. */
  get version(): number {
    return this.#version
  }

  get pages(): number {
    return this.#contents.rests.length
  }

  /** Whether any page was ever stable here. */
  get hasHeld(): boolean {
    return this.#version > 1
  }

  get bytes(): number {
    return this.pages * 10 + this.#contents.starts.byteLength + this.#changes.bytes
  }

  /** The oldest version against which changes are known. */
  get oldestBase(): number {
    return this.#changes.oldest
  }

  /** Reads the present pages of `held`. Returns the slices that changed. */
  async refresh(held: HeldPages, signal: AbortSignal): Promise<number[]> {
    const next = new Columns(this.pages)
    const changed = new Columns(0)
    const starts = new Uint32Array(SLICE_COUNT + 1)
    const changedStarts = new Uint32Array(SLICE_COUNT + 1)
    const changedSlices: number[] = []
    const run = new PrefixRun()
    for (let slice = 0, pagesAtTurn = 0, sliceAtTurn = 0; slice < SLICE_COUNT; slice++) {
      run.clear()
      held.stablePages(firstHighOf(slice), lastHighOf(slice), run)
      for (let page = 0; page < run.count; page++) {
        next.push(restOf(run.high[page]!, run.low[page]!), Math.min(LIMITS.guestsPerHost, run.guests[page]!))
      }
      this.#compare(slice, next, starts[slice]!, changed)
      starts[slice + 1] = next.count
      changedStarts[slice + 1] = changed.count
      if (changed.count > changedStarts[slice]!) changedSlices.push(slice)
      if (next.count - pagesAtTurn < TURN_PAGES && slice - sliceAtTurn < TURN_SLICES) continue
      pagesAtTurn = next.count
      sliceAtTurn = slice
      await nextTurn()
      signal.throwIfAborted()
    }
    if (changed.count === 0) return []
    this.#contents = { starts, ...next.exact() }
    this.#version += 1
    this.#changes.add(this.#version, { starts: changedStarts, rests: changed.exact().rests }, next.count)
    return changedSlices
  }

  /** Calls `visit` with each page of a slice. */
  forEach(slice: number, visit: (rest: number, guests: number) => void): void {
    const { starts, rests, guests } = this.#contents
    for (let page = starts[slice]!; page < starts[slice + 1]!; page++) visit(rests[page]!, guests[page]!)
  }

  /** Adds a group with all pages of a slice. */
  addWhole(slice: number, into: ReportGroups): void {
    into.begin(slice, true)
    this.forEach(slice, (rest, guests) => into.push(rest, guests))
  }

  /** How many pages of a slice changed since version `base`, which must not be older than `oldestBase`. */
  countChanges(slice: number, base: number): number {
    return this.#changes.count(slice, base)
  }

  /** Adds a group with the pages of a slice that changed since version `base`, if there are any. */
  addChanges(slice: number, base: number, into: ReportGroups): void {
    if (this.#changes.count(slice, base) === 0) return
    into.begin(slice, false)
    this.#changes.forEach(slice, base, (rest) => into.push(rest, this.#guestsOf(slice, rest)))
  }

  #guestsOf(slice: number, rest: number): number {
    const { starts, rests, guests } = this.#contents
    let from = starts[slice]!
    let to = starts[slice + 1]!
    while (from < to) {
      const middle = (from + to) >>> 1
      if (rests[middle]! < rest) from = middle + 1
      else to = middle
    }
    return from < starts[slice + 1]! && rests[from] === rest ? guests[from]! : 0
  }

  /** Adds to `changed` the pages of a slice that came, went or have another number of guests. */
  #compare(slice: number, next: Columns, nextStart: number, changed: Columns): void {
    const { starts, rests, guests } = this.#contents
    let page = starts[slice]!
    const end = starts[slice + 1]!
    for (let other = nextStart; page < end || other < next.count;) {
      const rest = page < end ? rests[page]! : Infinity
      const nextRest = other < next.count ? next.rests[other]! : Infinity
      if (rest < nextRest) changed.push(rest, 0)
      else if (nextRest < rest || guests[page] !== next.guests[other]) changed.push(nextRest, 0)
      if (rest <= nextRest) page += 1
      if (nextRest <= rest) other += 1
    }
  }
}

/** Columns that grow. */
class Columns {
  count = 0
  rests: Float64Array
  guests: Uint16Array

  constructor(expectedCount: number) {
    this.rests = new Float64Array(expectedCount)
    this.guests = new Uint16Array(expectedCount)
  }

  push(rest: number, guests: number): void {
    if (this.count === this.rests.length) {
      const capacity = Math.max(256, Math.ceil(this.count * 1.5))
      const { rests, guests } = this
      this.rests = new Float64Array(capacity)
      this.guests = new Uint16Array(capacity)
      this.rests.set(rests)
      this.guests.set(guests)
    }
    this.rests[this.count] = rest
    this.guests[this.count] = guests
    this.count += 1
  }

  exact(): { rests: Float64Array; guests: Uint16Array } {
    return { rests: this.rests.slice(0, this.count), guests: this.guests.slice(0, this.count) }
  }
}
