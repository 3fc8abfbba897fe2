import { LIMITS } from '../limits.ts'
import { HOLDERS_MAX, popularityRank, PopularRun } from '../popularrun.ts'
import { SLICE_COUNT } from '../slice.ts'
import { encodeBulletin, pageBitsMax, TAG_BYTES } from './bulletincodec.ts'
import { checksumOf, createGroup, GROUP_KIND, type BulletinGroup } from './bulletingroups.ts'
import { applied, difference } from './difference.ts'

/** The changes of one slice, from which the next message is chosen. */
interface Candidates {
  slices: Uint16Array
  pages: Uint32Array
  ranks: Float64Array
}

interface Published {
  version: number
  /** What all others know of the slice, if they heard every message. */
  run: PopularRun
  /** This host has not published the slice yet: `run` is what another publisher sent. */
  isNew: boolean
}

/** Writes the wanted contents of a slice that this host publishes to `into`. */
type WantedSlice = (slice: number, into: PopularRun) => void

/** About what a group takes besides its pages; if it takes more, the room for pages shrinks until all fits. */
const GROUP_BYTES = 6
const NARROWING = 0.85

/**
 * What this host has published of its slices, and what it publishes next: the most popular of all changes, as many as
 * one message holds. Each change raises its slice's version by one. A slice that this host has not published yet is
 * sent whole, or as changes to what another published. Changes that do not fit wait for later messages, and are dropped
 * if they are outdated by then.
 */
export class Publisher {
  readonly #bytesMax: number
  readonly #incarnation: number
  readonly #published = new Map<number, Published>()
  /** The last version of each slice: a slice that comes back continues from it. */
  readonly #versions = new Uint32Array(SLICE_COUNT)
  /** Slices whose wanted contents may differ from those published. */
  readonly #open = new Set<number>()

  constructor(init: { bytesMax: number; incarnation: number }) {
    this.#bytesMax = init.bytesMax
    this.#incarnation = init.incarnation
  }

  get slices(): number {
    return this.#published.size
  }

  get pages(): number {
    let pages = 0
    for (const { run } of this.#published.values()) pages += run.count
    return pages
  }

  /** Whether changes are waiting. */
  get isBehind(): boolean {
    return this.#open.size > 0
  }

  publishes(slice: number): boolean {
    return this.#published.has(slice)
  }

  /**
   * This host publishes the slice from now on. `known` is what the others have of it if they heard what this host
   * heard: the new publisher continues from there, so that they need not forget it.
   */
  begin(slice: number, known: PopularRun): void {
    this.#published.set(slice, { version: this.#versions[slice]!, run: known, isNew: true })
    this.#open.add(slice)
  }

  /** The wanted contents of a slice that this host publishes may have changed. */
  touch(slice: number): void {
    if (this.#published.has(slice)) this.#open.add(slice)
  }

  /** Another host publishes the slice from now on. */
  leave(slice: number): void {
    this.#published.delete(slice)
    this.#open.delete(slice)
  }

  /** What was published of a slice, as a whole group. */
  whole(slice: number, publisher: number): BulletinGroup | undefined {
    const published = this.#published.get(slice)
    if (published === undefined || published.isNew) return undefined
    const { version, run } = published
    return { slice, kind: GROUP_KIND.whole, version, publisher, incarnation: this.#incarnation, pages: run }
  }

  /**
   * The next message, or undefined if there is nothing to send. Its contents count as published from now on. With
   * `listsAll` it also names the version of each unchanged slice, so that members that missed one notice.
   */
  compose(wanted: WantedSlice, publisher: number, listsAll: boolean): Uint8Array | undefined {
    const changes = this.#changes(wanted)
    const slices = (listsAll ? [...this.#published.keys()] : [...changes.keys()]).sort((a, b) => a - b)
    if (slices.length === 0) return undefined
    let room = this.#bytesMax - slices.length * GROUP_BYTES
    while (true) {
      const chosen = choose(changes, room * 8)
      const groups = slices.map((slice) => this.#group(slice, chosen.get(slice), publisher))
        .filter(({ kind }) => listsAll || kind !== GROUP_KIND.still)
      const message = encodeBulletin({ incarnation: this.#incarnation, groups })
      if (message.length <= this.#bytesMax) {
        for (const group of groups) this.#commit(group, changes.get(group.slice))
        return message
      }
      room *= NARROWING
    }
  }

  /** The changes, by slice; slices that were not published yet are listed even without changes. */
  #changes(wanted: WantedSlice): Map<number, PopularRun> {
    const changes = new Map<number, PopularRun>()
    const run = new PopularRun()
    for (const slice of this.#open) {
      const published = this.#published.get(slice)!
      const changed = new PopularRun(0)
      run.clear()
      wanted(slice, run)
      difference(published.run, run, changed)
      if (published.isNew || changed.count > 0) changes.set(slice, changed)
      else this.#open.delete(slice)
    }
    return changes
  }

  #group(slice: number, changes = new PopularRun(0), publisher: number): BulletinGroup {
    const { version, run, isNew } = this.#published.get(slice)!
    const head = { slice, publisher, incarnation: this.#incarnation }
    if (!isNew && changes.count === 0) return createGroup({ ...head, kind: GROUP_KIND.still, version })
    const group = { ...head, version: version + 1, pages: changes }
    if (!isNew) return { ...group, kind: GROUP_KIND.changes }
    return run.count === 0
      ? { ...group, kind: GROUP_KIND.whole } : { ...group, kind: GROUP_KIND.takeover, checksum: checksumOf(run) }
  }

  #commit({ slice, kind, version, pages }: BulletinGroup, changes: PopularRun | undefined): void {
    if (kind !== GROUP_KIND.still) {
      const before = this.#published.get(slice)!.run
      const run = new PopularRun(before.count + pages.count)
      applied(before, pages, run)
      this.#versions[slice] = version
      this.#published.set(slice, { version, run, isNew: false })
    }
    if (changes === undefined || pages.count === changes.count) this.#open.delete(slice)
  }
}

/** The most popular of all changes, as many as fit `roomBits`, by slice and in rising order. */
function choose(changes: ReadonlyMap<number, PopularRun>, roomBits: number): Map<number, PopularRun> {
  const candidates = rank(changes)
  const order = Uint32Array.from(candidates.ranks.keys()).sort((a, b) => candidates.ranks[b]! - candidates.ranks[a]!)
  const tags = new Set<number>()
  const isChosen = new Uint8Array(order.length)
  let remainingBits = roomBits
  let pages = 0
  for (const candidate of order) {
    const run = changes.get(candidates.slices[candidate]!)!
    remainingBits -= bitsOf(run, candidates.pages[candidate]!, tags)
    pages += 1
    if (remainingBits < 0 || pages > LIMITS.pagesPerBulletin) break
    isChosen[candidate] = 1
  }
  const chosen = new Map<number, PopularRun>()
  for (let candidate = 0; candidate < isChosen.length; candidate++) {
    const slice = candidates.slices[candidate]!
    const run = chosen.get(slice) ?? new PopularRun(0)
    if (isChosen[candidate] === 1) run.copy(changes.get(slice)!, candidates.pages[candidate]!)
    chosen.set(slice, run)
  }
  return chosen
}

function rank(changes: ReadonlyMap<number, PopularRun>): Candidates {
  let count = 0
  for (const run of changes.values()) count += run.count
  const candidates = { slices: new Uint16Array(count), pages: new Uint32Array(count), ranks: new Float64Array(count) }
  let at = 0
  for (const [slice, run] of changes) {
    for (let page = 0; page < run.count; page++) {
      candidates.slices[at] = slice
      candidates.pages[at] = page
      candidates.ranks[at++] = popularityRank(run.hosts[page]!, run.guests[page]!)
    }
  }
  return candidates
}

/** Upper bound of the bits that a page takes in a message; adds its new tags to `tags`. */
function bitsOf(run: PopularRun, page: number, tags: Set<number>): number {
  const before = tags.size
  for (let holder = page * HOLDERS_MAX; holder < (page + 1) * HOLDERS_MAX; holder++) {
    const tag = run.holders[holder]!
    if (run.hosts[page]! > 0 && tag !== 0) tags.add(tag)
  }
  const hosts = run.hosts[page]!
  const pageBits = hosts === 0 ? pageBitsMax(0, 0) : pageBitsMax(hosts, Math.max(hosts, run.guests[page]!))
  return pageBits + (tags.size - before) * TAG_BYTES * 8
}
