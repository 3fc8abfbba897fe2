import type { Prefixes } from '../../page/index.ts'
import type { PopularityView, PopularPages } from '../api.ts'
import { HOLDERS_MAX, type PopularRun } from '../popularrun.ts'
import { highOf, lowOf, restOf, SLICE_BITS, SLICE_COUNT, sliceOf } from '../slice.ts'
import { ViewBucket } from './viewbucket.ts'
import { floorAfter, isAbove, NO_FLOOR, type Floor } from './viewcut.ts'
import { HolderTags } from './viewtags.ts'
import { namesOf, topOf } from './viewtop.ts'

/** Mean pages of a bucket: a change moves half a bucket, and each bucket costs some objects. */
const BUCKET_PAGES_MAX = 1024
const BUCKET_PAGES_MIN = 256
/** Share of `maxPages` left after a trim; below it the view takes less popular pages again. */
const TRIMMED_SHARE = 0.99
const ROOMY_SHARE = 0.98
/** After a pass that freed few places, this many new tags find no place before the next pass. */
const MISSES_PER_LOOK = 2 ** 16

export interface ViewInit {
  /** Above it the least popular pages are dropped. */
  maxPages: number
  /** Name of the host with this tag, if it is known. */
  nameOfTag: (tag: number) => string | undefined
}

/**
 * The popular pages of all slices, about 19 bytes each. A bucket holds 2^n neighbouring slices, with n chosen so that
 * it has some hundreds of pages: a small view is a few arrays, and in a large one a change moves little.
 */
export class View implements PopularityView {
  readonly #init: ViewInit
  #buckets: ViewBucket[] = [new ViewBucket()]
  /** Slices of a bucket, as a power of two. */
  #bucketBits = SLICE_BITS
  /** Index of each slice's first page in its bucket. */
  readonly #starts = new Uint32Array(SLICE_COUNT)
  readonly #tags = new HolderTags()
  /** New tags that may still find no place before the next pass over the tags in use. */
  #missesLeft = 0
  #pages = 0
  #floor: Floor = NO_FLOOR
  #hasRefusedPages = false

  constructor(init: ViewInit) {
    this.#init = init
  }

  get pages(): number {
    return this.#pages
  }

  get bytes(): number {
    const buckets = this.#buckets.reduce((sum, bucket) => sum + bucket.bytes, 0)
    return buckets + this.#starts.byteLength + this.#tags.bytes
  }

  /** Pages of a lower rank are refused, because the view is full of more popular ones; 0 while it has room. */
  get floor(): number {
    return this.#floor.rank
  }

  /** Whether there is room again for refused pages; true once. */
  takeRefusedPages(): boolean {
    const hasRefusedPages = this.#hasRefusedPages
    this.#hasRefusedPages = false
    return hasRefusedPages
  }

  guestsOf(high: number, low: number): number {
    const index = this.#find(high, low)
    return index === -1 ? 0 : this.#bucketOf(sliceOf(high)).guests[index]!
  }

  hostsOf(high: number, low: number): number {
    const index = this.#find(high, low)
    return index === -1 ? 0 : this.#bucketOf(sliceOf(high)).hosts[index]!
  }

  holdersOf(high: number, low: number): string[] {
    const index = this.#find(high, low)
    return index === -1 ? [] : namesOf(this.#bucketOf(sliceOf(high)), index, (place) => this.#nameAt(place))
  }

  among(prefixes: Prefixes, bits: number): Prefixes & { indices: Uint32Array } {
    const { count } = prefixes
    const found = {
      count: 0, high: new Uint32Array(count), low: new Uint32Array(count), indices: new Uint32Array(count),
    }
    for (let index = 0; index < count; index++) {
      const high = prefixes.high[index]!
      const slice = sliceOf(high)
      const bucket = this.#bucketOf(slice)
      const rest = restOf(high, prefixes.low[index]!)
      const end = this.#endOf(slice)
      const first = bucket.firstFrom(rest, this.#starts[slice]!, end)
      if (first === end || bucket.rests[first]! >= rest + 2 ** (64 - bits)) continue
      found.high[found.count] = highOf(slice, bucket.rests[first]!)
      found.low[found.count] = lowOf(bucket.rests[first]!)
      found.indices[found.count++] = index
    }
    return found
  }

  forEach(visit: (high: number, low: number, guests: number, hosts: number) => void): void {
    for (let slice = 0; slice < SLICE_COUNT; slice++) {
      const { rests, guests, hosts } = this.#bucketOf(slice)
      const end = this.#endOf(slice)
      for (let index = this.#starts[slice]!; index < end; index++) {
        visit(highOf(slice, rests[index]!), lowOf(rests[index]!), guests[index]!, hosts[index]!)
      }
    }
  }

  /** Equally popular pages come in the order of their prefixes. At most two million are listed. */
  top(countMax: number): PopularPages {
    return topOf(countMax, {
      buckets: this.#buckets, bucketBits: this.#bucketBits, starts: this.#starts,
      nameAt: (place) => this.#nameAt(place),
    })
  }

  /** Replaces the contents of `slice` with `run`. */
  replaceSlice(slice: number, run: PopularRun): void {
    let taken = 0
    for (let index = 0; index < run.count; index++) if (this.#takes(run, index)) taken += 1
    const bucket = this.#bucketOf(slice)
    let to = this.#starts[slice]!
    this.#moveEnd(slice, this.#endOf(slice), to + taken)
    for (let index = 0; index < run.count; index++) if (this.#takes(run, index)) this.#put(run, index, bucket, to++)
    this.#settle()
  }

  /** Replaces the pages that `changes` names; those with no host are removed. */
  applyChanges(slice: number, changes: PopularRun): void {
    const end = this.#endOf(slice)
    const { keptEnd, added } = this.#applyToKnown(slice, end, changes)
    this.#moveEnd(slice, end, keptEnd + added)
    this.#insertNew(slice, keptEnd, added, changes)
    this.#settle()
  }

  /** Replaces the contents of `into` with the pages of the slice. */
  readSlice(slice: number, into: PopularRun): void {
    const { rests, guests, hosts, holders } = this.#bucketOf(slice)
    const end = this.#endOf(slice)
    into.clear()
    for (let index = this.#starts[slice]!; index < end; index++) {
      const to = into.push(rests[index]!, guests[index]!, hosts[index]!)
      for (let holder = 0; holder < HOLDERS_MAX; holder++) {
        into.holders[to * HOLDERS_MAX + holder] = this.#tags.tagAt(holders[index * HOLDERS_MAX + holder]!)
      }
    }
  }

  dropSlice(slice: number): void {
    this.#moveEnd(slice, this.#endOf(slice), this.#starts[slice]!)
    this.#settle()
  }

  clear(): void {
    this.#buckets = [new ViewBucket()]
    this.#bucketBits = SLICE_BITS
    this.#starts.fill(0)
    this.#tags.keep(new Uint8Array(this.#tags.count))
    this.#pages = 0
    this.#floor = NO_FLOOR
  }

  /** Updates and removes the named pages of the slice; returns where the rest ends and how many are new. */
  #applyToKnown(slice: number, end: number, changes: PopularRun): { keptEnd: number; added: number } {
    const bucket = this.#bucketOf(slice)
    let index = this.#starts[slice]!
    let keptEnd = index
    let added = 0
    for (let change = 0; change < changes.count; change++) {
      const rest = changes.rests[change]!
      while (index < end && bucket.rests[index]! < rest) bucket.copyPage(index++, keptEnd++)
      const isTaken = this.#takes(changes, change)
      const isKnown = index < end && bucket.rests[index] === rest
      if (isKnown) index += 1
      if (isKnown && isTaken) this.#put(changes, change, bucket, keptEnd++)
      else if (isTaken) added += 1
    }
    while (index < end) bucket.copyPage(index++, keptEnd++)
    return { keptEnd, added }
  }

  /** Merges the new pages, from the back, into the room made for them. */
  #insertNew(slice: number, keptEnd: number, added: number, changes: PopularRun): void {
    const bucket = this.#bucketOf(slice)
    const start = this.#starts[slice]!
    let kept = keptEnd - 1
    let to = keptEnd + added - 1
    for (let change = changes.count - 1; to > kept; change--) {
      if (!this.#takes(changes, change)) continue
      const rest = changes.rests[change]!
      while (kept >= start && bucket.rests[kept]! > rest) bucket.copyPage(kept--, to--)
      // Known pages were updated in place.
      if (kept < start || bucket.rests[kept] !== rest) this.#put(changes, change, bucket, to--)
    }
  }

  #takes(run: PopularRun, index: number): boolean {
    return isAbove(this.#floor, run.rests[index]!, run.hosts[index]!, run.guests[index]!)
  }

  #put(run: PopularRun, index: number, bucket: ViewBucket, to: number): void {
    bucket.rests[to] = run.rests[index]!
    bucket.guests[to] = run.guests[index]!
    bucket.hosts[to] = run.hosts[index]!
    for (let holder = 0; holder < HOLDERS_MAX; holder++) {
      bucket.holders[to * HOLDERS_MAX + holder] = this.#placeOf(run.holders[index * HOLDERS_MAX + holder]!)
    }
  }

  /** The place of a tag; 0, which leaves the holder out, when more hosts are named than there are places. */
  #placeOf(tag: number): number {
    const place = this.#tags.placeOf(tag)
    if (place !== 0 || tag === 0) return place
    if (this.#missesLeft > 0) {
      this.#missesLeft -= 1
      return 0
    }
    this.#forgetTags()
    this.#missesLeft = this.#tags.isCrowded ? MISSES_PER_LOOK : 0
    return this.#tags.placeOf(tag)
  }

  /** Frees the places of hosts that no page names any more. */
  #forgetTags(): void {
    const used = new Uint8Array(this.#tags.count)
    for (const { holders, count } of this.#buckets) {
      for (let holder = 0; holder < count * HOLDERS_MAX; holder++) used[holders[holder]!] = 1
    }
    const places = this.#tags.keep(used)
    for (const { holders, count } of this.#buckets) {
      for (let holder = 0; holder < count * HOLDERS_MAX; holder++) holders[holder] = places[holders[holder]!]!
    }
  }

  #nameAt(place: number): string | undefined {
    return this.#init.nameOfTag(this.#tags.tagAt(place))
  }

  /** Index of the page in the bucket of its slice, or -1. */
  #find(high: number, low: number): number {
    const slice = sliceOf(high)
    return this.#bucketOf(slice).find(restOf(high, low), this.#starts[slice]!, this.#endOf(slice))
  }

  #bucketOf(slice: number): ViewBucket {
    return this.#buckets[slice >>> this.#bucketBits]!
  }

  /** Whether this is the last slice of its bucket. */
  #isLastOfBucket(slice: number): boolean {
    return (slice + 1) % 2 ** this.#bucketBits === 0
  }

  /** End index (exclusive) of the slice in its bucket. */
  #endOf(slice: number): number {
    return this.#isLastOfBucket(slice) ? this.#bucketOf(slice).count : this.#starts[slice + 1]!
  }

  /** Moves the end of the slice, and all pages behind it in the bucket. */
  #moveEnd(slice: number, end: number, newEnd: number): void {
    if (newEnd === end) return
    this.#bucketOf(slice).moveTail(end, newEnd)
    this.#pages += newEnd - end
    for (let other = slice; !this.#isLastOfBucket(other); other++) this.#starts[other + 1]! += newEnd - end
  }

  /** Keeps the view within its bounds, and its buckets at their size. */
  #settle(): void {
    const { maxPages } = this.#init
    if (this.#pages > maxPages) {
      this.#floor = floorAfter(Math.max(1, Math.floor(maxPages * TRIMMED_SHARE)), this.#buckets)
      this.#trim()
    } else if (this.#floor !== NO_FLOOR && this.#pages < maxPages * ROOMY_SHARE) {
      this.#floor = NO_FLOOR
      this.#hasRefusedPages = true
    }
    while (this.#bucketBits > 0 && this.#pages > BUCKET_PAGES_MAX * this.#buckets.length) this.#split()
    while (this.#bucketBits < SLICE_BITS && this.#pages < BUCKET_PAGES_MIN * this.#buckets.length) this.#join()
  }

  /** Drops all pages that are not above the floor. */
  #trim(): void {
    let to = 0
    for (let slice = 0; slice < SLICE_COUNT; slice++) {
      const bucket = this.#bucketOf(slice)
      const start = this.#starts[slice]!
      const end = this.#endOf(slice)
      this.#starts[slice] = to
      for (let index = start; index < end; index++) {
        const isKept = isAbove(this.#floor, bucket.rests[index]!, bucket.hosts[index]!, bucket.guests[index]!)
        if (isKept) bucket.copyPage(index, to++)
      }
      if (!this.#isLastOfBucket(slice)) continue
      this.#pages += to - bucket.count
      bucket.moveTail(bucket.count, to)
      to = 0
    }
  }

  /** Splits each bucket in two. */
  #split(): void {
    const half = 2 ** (this.#bucketBits - 1)
    this.#buckets = this.#buckets.flatMap((bucket, index) => {
      const middle = (2 * index + 1) * half
      const cut = this.#starts[middle]!
      for (let slice = middle; slice < middle + half; slice++) this.#starts[slice]! -= cut
      return [
        ViewBucket.of([{ bucket, start: 0, end: cut }]), ViewBucket.of([{ bucket, start: cut, end: bucket.count }]),
      ]
    })
    this.#bucketBits -= 1
  }

  /** Joins every two buckets. */
  #join(): void {
    const size = 2 ** this.#bucketBits
    const joined: ViewBucket[] = []
    for (let index = 0; index < this.#buckets.length; index += 2) {
      const [first, second] = [this.#buckets[index]!, this.#buckets[index + 1]!]
      for (let slice = (index + 1) * size; slice < (index + 2) * size; slice++) this.#starts[slice]! += first.count
      joined.push(ViewBucket.of([first, second].map((bucket) => ({ bucket, start: 0, end: bucket.count }))))
    }
    this.#buckets = joined
    this.#bucketBits += 1
  }
}
