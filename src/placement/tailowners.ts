import { hostTag, weightOf } from '../popularity/index.ts'

/**
 * The owners of a page in the tail: rendezvous hashing over the members, page by page. Hosts with the same list of
 * members get the same owners, and a member that joins or leaves moves only its own share.
 */
export class TailOwners {
  readonly #self: string
  readonly #selfTag: number
  readonly #others: readonly string[]
  readonly #otherTags: Uint32Array
  readonly #copies: number

  constructor({ self, others, copies }: { self: string; others: readonly string[]; copies: number }) {
    this.#self = self
    this.#selfTag = hostTag(self)
    this.#others = others
    this.#otherTags = Uint32Array.from(others, hostTag)
    this.#copies = copies
  }

  /** Whether this host is one of a page's owners. Examines about a dozen members, however many there are. */
  owns(low: number): boolean {
    const own = weightOf(low, this.#selfTag)
    const tags = this.#otherTags
    let better = 0
    for (let other = 0; other < tags.length; other++) {
      if (weightOf(low, tags[other]!) > own && ++better === this.#copies) return false
    }
    return true
  }

  /** The other members among a page's owners, in falling order of weight. */
  othersOf(low: number): string[] {
    const ranked = [{ name: this.#self, weight: weightOf(low, this.#selfTag) }]
    for (const [other, name] of this.#others.entries()) {
      const weight = weightOf(low, this.#otherTags[other]!)
      let place = ranked.length
      while (place > 0 && ranked[place - 1]!.weight < weight) place -= 1
      if (place === this.#copies) continue
      ranked.splice(place, 0, { name, weight })
      if (ranked.length > this.#copies) ranked.pop()
    }
    return ranked.filter(({ name }) => name !== this.#self).map(({ name }) => name)
  }
}
