import type { Clock } from '../runtime/clock.ts'
import { nextTurn } from '../runtime/turn.ts'
import { GROUP_KIND, type BulletinGroup } from './bulletin/bulletingroups.ts'
import type { Follower } from './bulletin/follower.ts'
import { Publisher } from './bulletin/publisher.ts'
import { hostTag, type SliceOwners } from './owners.ts'
import { PopularRun } from './popularrun.ts'
import type { ReportTable } from './report/reporttable.ts'
import type { Snapshot } from './report/snapshot.ts'
import { SLICE_COUNT } from './slice.ts'
import { SliceSum } from './slicesum.ts'
import type { View } from './view/view.ts'

/** Pages summed before yielding to the event loop: some milliseconds. */
const TURN_PAGES = 16 * 1024
/** An owner begins to publish a slice so many intervals after it became one, even if few members have reported. */
const UNREPORTED_INTERVALS = 2
/** Messages without news repeat the versions, for members that missed a message; their gap doubles this often. */
const DOUBLINGS_MAX = 3

interface Parts {
  clock: Clock
  owners: SliceOwners
  snapshot: Snapshot
  table: ReportTable
  view: View
  follower: Follower
}

interface Init {
  self: string
  /** Secret seed of the hash tables of the sums. */
  seed: number
  minHosts: number
  intervalMs: number
  incarnation: number
  /** Of one message, bytes. */
  bytesMax: number
  /** Least time between two messages when the first held everything, ms. */
  gapMs: (hosts: number) => number
  /** Whether most members have reported to this host. */
  isReported: () => boolean
}

/**
 * This host's work as an owner: sums the reports of the slices that it publishes, writes the sums to the view and
 * composes the messages about them. A host publishes a slice when it ranks first, one interval after it became an owner
 * if most have reported by then, or second, when the first has been silent for long. Where every host owns every slice,
 * each sums for itself and nobody publishes.
 */
export class Owner {
  readonly #parts: Parts
  readonly #init: Init
  readonly #publisher: Publisher
  readonly #sum: SliceSum
  /** Since when this host has owned each slice, by the clock; NaN: it is no owner. */
  readonly #ownedSince = new Float64Array(SLICE_COUNT).fill(NaN)
  readonly #isActing = new Uint8Array(SLICE_COUNT)
  readonly #isDirty = new Uint8Array(SLICE_COUNT).fill(1)
  #saidAt = -Infinity
  /** When a message last listed all slices. */
  #listedAt = -Infinity
  #restMs = 0
  /** Messages without news since the last one with news. */
  #quietMessages = 0

  constructor(parts: Parts, init: Init) {
    this.#parts = parts
    this.#init = init
    this.#publisher = new Publisher(init)
    this.#sum = new SliceSum(init.seed)
  }

  get publishedPages(): number {
    return this.#publisher.pages
  }

  /** These slices were reported anew. */
  touch(slices: Iterable<number>): void {
    for (const slice of slices) this.#isDirty[slice] = 1
  }

  /** Takes up the slices that have become this host's to publish, and leaves those that no longer are. */
  follow(): void {
    const { clock, owners, follower } = this.#parts
    const now = clock.now()
    const { allOwn } = owners
    for (let slice = 0; slice < SLICE_COUNT; slice++) {
      const rank = owners.rankOf(this.#init.self, slice)
      const isOwner = rank >= 0 && rank < owners.ownersPerSlice
      if (!isOwner) this.#ownedSince[slice] = NaN
      else if (Number.isNaN(this.#ownedSince[slice])) this.#ownedSince[slice] = now
      const isActing = isOwner && (allOwn || this.#isMine(slice, rank, now))
      if (isActing && this.#isActing[slice] === 0) {
        this.#isDirty[slice] = 1
        follower.own(slice)
      }
      if (isActing && !allOwn) this.#publishFromNow(slice)
      else this.#publisher.leave(slice)
      this.#isActing[slice] = isActing ? 1 : 0
    }
  }

  /** Sums all of this host's slices that changed. */
  async sum(signal: AbortSignal): Promise<void> {
    const run = new PopularRun()
    let pages = 0
    for (let slice = 0; slice < SLICE_COUNT; slice++) {
      if (this.#isDirty[slice] === 0 || this.#isActing[slice] === 0) continue
      this.#isDirty[slice] = 0
      run.clear()
      pages += this.#sumSlice(slice, run)
      this.#parts.view.replaceSlice(slice, run)
      this.#publisher.touch(slice)
      if (pages < TURN_PAGES) continue
      pages = 0
      await nextTurn()
      signal.throwIfAborted()
    }
  }

  /** Whether the least time between two messages has passed. */
  get maySay(): boolean {
    return this.#parts.clock.now() - this.#saidAt >= this.#restMs
  }

  /** The next message, if one is due. */
  compose(): Uint8Array | undefined {
    const { clock, owners, view } = this.#parts
    const now = clock.now()
    const isNews = this.#publisher.isBehind
    const waitMs = isNews ? this.#restMs : this.#restMs * 2 ** Math.min(DOUBLINGS_MAX, this.#quietMessages)
    if (now - this.#saidAt < waitMs) return undefined
    const listsAll = !isNews || now - this.#listedAt >= this.#init.intervalMs
    const publisher = hostTag(this.#init.self)
    const message = this.#publisher.compose((slice, into) => view.readSlice(slice, into), publisher, listsAll)
    if (message === undefined) return undefined
    if (listsAll) this.#listedAt = now
    this.#saidAt = now
    this.#quietMessages = isNews ? 0 : this.#quietMessages + 1
    // The pages that did not fit follow in the next message, as soon as possible.
    this.#restMs = this.#publisher.isBehind ? 0 : this.#init.gapMs(owners.hostCount)
    return message
  }

  /** All that this host knows of a slice, for a host that asks; undefined if it knows nothing. */
  known(slice: number): BulletinGroup | undefined {
    const { states } = this.#parts.follower
    const own = this.#publisher.whole(slice, hostTag(this.#init.self))
    if (own !== undefined) return own
    const pages = new PopularRun(0)
    this.#parts.view.readSlice(slice, pages)
    const isOwn = this.#isActing[slice] === 1
    if (pages.count === 0 && states.publishers[slice] === 0) return undefined
    return {
      slice, kind: GROUP_KIND.whole, pages,
      publisher: states.publishers[slice]!, incarnation: states.incarnations[slice]!,
      version: isOwn ? 0 : states.versions[slice]!,
    }
  }

  #publishFromNow(slice: number): void {
    if (this.#publisher.publishes(slice)) return
    const known = new PopularRun(0)
    this.#parts.view.readSlice(slice, known)
    this.#publisher.begin(slice, known)
    this.#isDirty[slice] = 1
  }

  #isMine(slice: number, rank: number, now: number): boolean {
    const ownedMs = now - this.#ownedSince[slice]!
    if (rank === 0) return this.#publisher.publishes(slice) || this.#mayBegin(ownedMs)
    // A second owner that replaced a silent first keeps the slice until the first is heard again.
    return rank === 1 && ownedMs >= this.#init.intervalMs && this.#parts.follower.isSilent(slice)
  }

  /** When all hosts start together, what is published early is a part, and is published again and again as it grows. */
  #mayBegin(ownedMs: number): boolean {
    const { intervalMs, isReported } = this.#init
    return ownedMs >= UNREPORTED_INTERVALS * intervalMs || (ownedMs >= intervalMs && isReported())
  }

  /** Writes the popular pages of a slice to `into`; returns how many reported pages were summed. */
  #sumSlice(slice: number, into: PopularRun): number {
    const { snapshot, table } = this.#parts
    const selfTag = hostTag(this.#init.self)
    let pages = 0
    this.#sum.clear()
    snapshot.forEach(slice, (rest, guests) => {
      this.#sum.add(rest, guests, selfTag)
      pages += 1
    })
    // Pages come origin by origin: the tag is computed once for each.
    let origin = ''
    let tag = 0
    table.forEach(slice, (name, rest, guests) => {
      if (name !== origin) {
        origin = name
        tag = hostTag(name)
      }
      this.#sum.add(rest, guests, tag)
      pages += 1
    })
    this.#sum.popular(this.#init.minHosts, into)
    return pages
  }
}
