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

/** Pages summed between two turns of everybody else: some milliseconds. */
const TURN_PAGES = 16 * 1024
/** After news follow messages without, for those who missed them; each next one after twice the time, so often. */
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
  /** Secret start of the sums' hash. */
  seed: number
  minHosts: number
  intervalMs: number
  incarnation: number
  /** Of one message. */
  bytesMax: number
  /** Least time between two messages with nothing left over, ms. */
  gapMs: (hosts: number) => number
}

/**
 * What this host does as an owner: sums the reports of the slices that are its to publish, puts the sums in the view
 * and composes the messages about them. A slice is a host's to publish when it ranks first, one interval after it
 * became an owner (by then all have reported), or second, when the first has been silent for long. Where every host
 * owns everything, each sums for itself and nobody publishes.
 */
export class Owner {
  readonly #parts: Parts
  readonly #init: Init
  readonly #publisher: Publisher
  readonly #sum: SliceSum
  /** Since when this host has owned each slice, by the clock; NaN: it does not. */
  readonly #ownedSince = new Float64Array(SLICE_COUNT).fill(NaN)
  readonly #isActing = new Uint8Array(SLICE_COUNT)
  readonly #isDirty = new Uint8Array(SLICE_COUNT).fill(1)
  #saidAt = -Infinity
  /** When a message listed all slices last. */
  #listedAt = -Infinity
  #restMs = 0
  /** Messages without news since the last one with some. */
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

  /** Something was reported of these slices. */
  touch(slices: Iterable<number>): void {
    for (const slice of slices) this.#isDirty[slice] = 1
  }

  /** Takes up what has become this host's to publish, and leaves what is no longer. */
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

  /** Sums all slices of this host's that changed. */
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

  /** Whether there might be news to say by now. */
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
    // What did not fit follows as soon as it may.
    this.#restMs = this.#publisher.isBehind ? 0 : this.#init.gapMs(owners.hostCount)
    return message
  }

  /** All that this host knows of a slice, for one that asks; undefined if it is nothing. */
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
    if (rank === 0) return ownedMs >= this.#init.intervalMs
    // Who took the place of a silent first keeps it until that is heard again.
    return rank === 1 && ownedMs >= this.#init.intervalMs && this.#parts.follower.isSilent(slice)
  }

  /** Puts what is popular of a slice in `into`; returns how many pages were looked at. */
  #sumSlice(slice: number, into: PopularRun): number {
    const { snapshot, table } = this.#parts
    const selfTag = hostTag(this.#init.self)
    let pages = 0
    this.#sum.clear()
    snapshot.forEach(slice, (rest, guests) => {
      this.#sum.add(rest, guests, selfTag)
      pages += 1
    })
    // Pages come origin by origin: a tag is worked out once for each.
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
