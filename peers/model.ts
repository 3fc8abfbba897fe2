/**
 * The page contents of synthetic guests, as pure arithmetic: no state but the number of boots, no bytes.
 *
 * A guest runs one system and one application. Its pages are those of the system (the same in all guests that run it),
 * those of the application on that system, and private ones. Zero pages are counted separately.
 *
 * The shares and rates below are fitted to the lab's real guests (Debian 12 of 512 MiB under TCG, freshly booted, three
 * at a time, two with the same work) by `node test/sim/fit.ts 30`, which printed:
 *
 *   first guest          web beside   database beside  idle beside
 *   others               web, database  database, idle  idle, compile
 *   non-zero pages            59189        59014        51603
 *   zero, of resident         9.8 %        7.2 %       10.2 %
 *   also in other work       61.6 %       56.9 %       67.0 %     of the distinct non-zero pages
 *   also in same work        66.8 %       60.4 %       67.6 %
 *   also in both             61.6 %       56.8 %       67.0 %
 *   changed in 30 s, and once more in the next 30 s:
 *     system            0.0, 0.0 %   0.2, 0.1 %   0.0, 0.0 %
 *     application      10.4, 4.8 %   0.0, 0.0 %   0.4, 0.4 %
 *     private           4.3, 3.1 %   9.9, 5.1 %   1.6, 1.5 %
 *
 * Fitted by moments (test/sim/fitting.ts): pages common to two guests of a system are in the third too, so each guest
 * holds its system's whole pool; the application's share is the further pages common to guests of the same work. Pages
 * that changed twice are hot: they change at every look. The other changed pages give the rates; a look of the model is
 * 60 s, so the rates of 30 s are doubled. The numbers of systems and applications in a cluster, and that their
 * popularity falls as 1/rank (Zipf), are assumptions: the lab has one system.
 */
export const MODEL = {
  /** Shares of a guest's distinct non-zero pages; the rest is private. */
  systemShare: 0.62,
  applicationShare: 0.03,
  /** Share of the resident pages that hold zeros. */
  zeroShare: 0.09,
  /** Chance that a page of the system, or of the application, has another content at a look. */
  systemAway: 0.0007,
  applicationAway: 0.02,
  /** Share of private pages that change at every look, and looks between two changes of each of the others. */
  hotShare: 0.032,
  privatePeriod: 25,
}

export interface ClusterInit {
  seed: number
  /** Non-zero pages of each guest. */
  pagesPerGuest: number
  systems?: number
  /** Applications on each system. */
  applications?: number
}

/** Kinds of content, which distinguish the pools. */
const KIND = { system: 1, application: 2, private: 3, away: 4 }

export class SyntheticCluster {
  readonly seed: number
  readonly pagesPerGuest: number
  readonly systemPages: number
  readonly applicationPages: number
  readonly #systemWeights: Float64Array
  readonly #applicationWeights: Float64Array
  readonly #pools = new Map<number, Float64Array>()

  constructor({ seed, pagesPerGuest, systems = 8, applications = 32 }: ClusterInit) {
    this.seed = seed
    this.pagesPerGuest = pagesPerGuest
    this.systemPages = Math.round(pagesPerGuest * MODEL.systemShare)
    this.applicationPages = Math.round(pagesPerGuest * MODEL.applicationShare)
    this.#systemWeights = zipf(systems)
    this.#applicationWeights = zipf(applications)
  }

  /** The guest with this number; deterministic. */
  guestOf(index: number): SyntheticGuest {
    const system = choose(this.#systemWeights, fraction(this.seed, index, 1, 0))
    const application = choose(this.#applicationWeights, fraction(this.seed, index, 2, 0))
    return new SyntheticGuest(this, index, {
      system: this.#pool(KIND.system, system, this.systemPages),
      application: this.#pool(KIND.application, system * 65_536 + application, this.applicationPages),
    })
  }

  /** The contents of a pool, cached: all guests with this system or application share the array. */
  #pool(kind: number, owner: number, pages: number): Float64Array {
    const key = kind * 2 ** 32 + owner
    const known = this.#pools.get(key)
    if (known !== undefined) return known
    const pool = Float64Array.from({ length: pages }, (_, page) => contentOf(this.seed, kind, owner, page, 0))
    this.#pools.set(key, pool)
    return pool
  }
}

/** A guest's non-zero pages, numbered from 0, at any look; looks are numbered, an interval apart. */
export class SyntheticGuest {
  readonly index: number
  readonly pages: number
  readonly #cluster: SyntheticCluster
  readonly #system: Float64Array
  readonly #application: Float64Array
  readonly #hotPages: number
  #boots = 0

  constructor(cluster: SyntheticCluster, index: number, pools: { system: Float64Array; application: Float64Array }) {
    this.index = index
    this.pages = cluster.pagesPerGuest
    this.#cluster = cluster
    this.#system = pools.system
    this.#application = pools.application
    this.#hotPages = Math.round((this.pages - pools.system.length - pools.application.length) * MODEL.hotShare)
  }

  /** Changes the content of all private pages. */
  reboot(): void {
    this.#boots += 1
  }

  /** A page's content at a look: a whole number below 2^53, equal for equal bytes. */
  contentAt(page: number, look: number): number {
    const { seed } = this.#cluster
    const applicationPage = page - this.#system.length
    const privatePage = applicationPage - this.#application.length
    if (privatePage >= 0) {
      return contentOf(seed, KIND.private, this.index, page, this.#generation(privatePage, look) * 65_536 + this.#boots)
    }
    const isAway = applicationPage >= 0
      ? this.#isAway(page, look, MODEL.applicationAway)
      : this.#isAway(page, look, MODEL.systemAway)
    if (isAway) return contentOf(seed, KIND.away, this.index, page, look)
    return applicationPage >= 0 ? this.#application[applicationPage]! : this.#system[page]!
  }

  /** Whether a page has the same content as at the look before. */
  isStable(page: number, look: number): boolean {
    return this.contentAt(page, look) === this.contentAt(page, look - 1)
  }

  /** Writes the contents of all stable pages into `into` from `start`, each once; returns how many. */
  stableContents(look: number, into: Float64Array, start: number): number {
    let count = start
    count = this.#stablePool(this.#system, 0, look, MODEL.systemAway, into, count)
    count = this.#stablePool(this.#application, this.#system.length, look, MODEL.applicationAway, into, count)
    const firstPrivate = this.#system.length + this.#application.length
    for (let page = firstPrivate + this.#hotPages; page < this.pages; page++) {
      const generation = this.#generation(page - firstPrivate, look)
      if (generation !== this.#generation(page - firstPrivate, look - 1)) continue
      const version = generation * 65_536 + this.#boots
      into[count++] = contentOf(this.#cluster.seed, KIND.private, this.index, page, version)
    }
    return count - start
  }

  #stablePool(
    pool: Float64Array, firstPage: number, look: number, away: number, into: Float64Array, start: number,
  ): number {
    let count = start
    for (let index = 0; index < pool.length; index++) {
      const page = firstPage + index
      if (this.#isAway(page, look, away) || this.#isAway(page, look - 1, away)) continue
      into[count++] = pool[index]!
    }
    return count
  }

  /** How often a private page has changed up to a look. */
  #generation(privatePage: number, look: number): number {
    if (privatePage < this.#hotPages) return look
    const offset = mixed(this.#cluster.seed, this.index, privatePage, 3) % MODEL.privatePeriod
    return Math.floor((look + offset) / MODEL.privatePeriod)
  }

  #isAway(page: number, look: number, away: number): boolean {
    return mixed(this.#cluster.seed ^ 0x5bd1e995, this.index, page, look) < away * 2 ** 32
  }
}

/** A page's content as 53 bits. */
function contentOf(seed: number, kind: number, owner: number, page: number, version: number): number {
  const high = mixed(Math.imul(seed, 4) + kind, owner, page, version)
  const low = mixed(Math.imul(seed, 4) + kind + 0x3c6ef372, owner, page, version)
  return high * 2 ** 21 + (low >>> 11)
}

function fraction(seed: number, a: number, b: number, c: number): number {
  return mixed(seed, a, b, c) / 2 ** 32
}

/** A 32-bit hash of four numbers (the steps of MurmurHash3). */
function mixed(seed: number, a: number, b: number, c: number): number {
  let hash = seed | 0
  hash = step(hash, a)
  hash = step(hash, b)
  hash = step(hash, c)
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return (hash ^ (hash >>> 16)) >>> 0
}

function step(hash: number, value: number): number {
  let word = Math.imul(value, 0xcc9e2d51)
  word = Math.imul((word << 15) | (word >>> 17), 0x1b873593)
  const turned = hash ^ word
  return (Math.imul((turned << 13) | (turned >>> 19), 5) + 0xe6546b64) | 0
}

/** Cumulative shares that fall as 1/rank. */
function zipf(count: number): Float64Array {
  const sums = new Float64Array(count)
  let sum = 0
  for (let rank = 0; rank < count; rank++) sums[rank] = sum += 1 / (rank + 1)
  return sums.map((value) => value / sum)
}

function choose(sums: Float64Array, at: number): number {
  const rank = sums.findIndex((sum) => at < sum)
  return rank === -1 ? sums.length - 1 : rank
}
