/** Holders that are named per popular page. */
export const HOLDERS_MAX = 3

/** Columns without a row, which every run shares that expects none: an owner has thousands of them. */
const EMPTY = {
  rests: new Float64Array(0), guests: new Uint16Array(0), hosts: new Uint16Array(0), holders: new Uint32Array(0),
}

/**
 * Popular pages of one slice in rising order, as columns that grow: rest of the prefix, guests and hosts of the mesh
 * that hold the page, and HOLDERS_MAX tags of hosts (0: none). In a list of changes `hosts` 0 means: no longer popular.
 */
export class PopularRun {
  count = 0
  rests: Float64Array<ArrayBuffer>
  guests: Uint16Array<ArrayBuffer>
  hosts: Uint16Array<ArrayBuffer>
  holders: Uint32Array<ArrayBuffer>

  constructor(expectedCount = 64) {
    const isEmpty = expectedCount === 0
    this.rests = isEmpty ? EMPTY.rests : new Float64Array(expectedCount)
    this.guests = isEmpty ? EMPTY.guests : new Uint16Array(expectedCount)
    this.hosts = isEmpty ? EMPTY.hosts : new Uint16Array(expectedCount)
    this.holders = isEmpty ? EMPTY.holders : new Uint32Array(expectedCount * HOLDERS_MAX)
  }

  clear(): void {
    this.count = 0
  }

  /** Appends a page without holders and returns its index. */
  push(rest: number, guests: number, hosts: number): number {
    const index = this.count
    if (index === this.rests.length) this.#grow()
    this.rests[index] = rest
    this.guests[index] = guests
    this.hosts[index] = hosts
    this.holders.fill(0, index * HOLDERS_MAX, (index + 1) * HOLDERS_MAX)
    this.count += 1
    return index
  }

  /** Appends page `index` of `other`. */
  copy(other: PopularRun, index: number): void {
    const to = this.push(other.rests[index]!, other.guests[index]!, other.hosts[index]!)
    for (let holder = 0; holder < HOLDERS_MAX; holder++) {
      this.holders[to * HOLDERS_MAX + holder] = other.holders[index * HOLDERS_MAX + holder]!
    }
  }

  #grow(): void {
    const larger = new PopularRun(Math.max(64, this.count * 2))
    larger.rests.set(this.rests)
    larger.guests.set(this.guests)
    larger.hosts.set(this.hosts)
    larger.holders.set(this.holders)
    this.rests = larger.rests
    this.guests = larger.guests
    this.hosts = larger.hosts
    this.holders = larger.holders
  }
}

/** A page's rank: more hosts first, then more guests. A host's word counts once. */
export function popularityRank(hosts: number, guests: number): number {
  return hosts * 2 ** 16 + guests
}
