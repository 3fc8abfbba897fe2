import { hostTag } from '../owners.ts'
import { SLICE_COUNT } from '../slice.ts'

/** Owners of a slice that may have its report at the same time: the present ones, and one that is leaving. */
const TOLD_MAX = 3

/** Which slices were reported to which owners, and up to which version. */
export class Told {
  /** Tags of the hosts that have each slice; 0: none. */
  readonly #tags = new Uint32Array(SLICE_COUNT * TOLD_MAX)
  readonly #versions = new Map<string, number>()

  /** The version that an owner has of the slices reported to it; 0: none. */
  versionOf(owner: string): number {
    return this.#versions.get(owner) ?? 0
  }

  /** Whether the owner with this tag has the slice. */
  has(slice: number, tag: number): boolean {
    const base = slice * TOLD_MAX
    for (let place = base; place < base + TOLD_MAX; place++) if (this.#tags[place] === tag) return true
    return false
  }

  /** Notes that an owner took a report of `version` with these slices whole. */
  accept(
    owner: string, version: number, wholeSlices: readonly number[], isOwner: (tag: number, slice: number) => boolean,
  ): void {
    this.#versions.set(owner, version)
    const tag = hostTag(owner)
    for (const slice of wholeSlices) {
      if (this.has(slice, tag)) continue
      const base = slice * TOLD_MAX
      let place = base
      while (place < base + TOLD_MAX - 1 && this.#tags[place] !== 0 && isOwner(this.#tags[place]!, slice)) place += 1
      this.#tags[place] = tag
    }
  }

  /**
   * From now on only these hosts, by tag, have the slice: others get no more changes and may drop it. One that becomes
   * an owner again gets the whole.
   */
  retain(slice: number, ownerTags: readonly number[]): void {
    const base = slice * TOLD_MAX
    for (let place = base; place < base + TOLD_MAX; place++) {
      if (this.#tags[place] !== 0 && !ownerTags.includes(this.#tags[place]!)) this.#tags[place] = 0
    }
  }

  /** An owner left, or has lost its reports. */
  forget(owner: string): void {
    if (!this.#versions.delete(owner)) return
    const tag = hostTag(owner)
    for (let place = 0; place < this.#tags.length; place++) if (this.#tags[place] === tag) this.#tags[place] = 0
  }
}
