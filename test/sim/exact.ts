import type { PopularityView } from '../../src/popularity/index.ts'
import { prefixHigh, prefixLow, type SimHeld } from './held.ts'

/** How far a host's view agrees with exact counting, each from 0 to 1. */
export interface Agreement {
  /** Share of the top set that the view has; pages as popular as the set's last one count as well. */
  recall: number
  /** Share of the view that belongs to the top set; ties with its last page count as well. */
  precision: number
}

/** Exact counts of the pages that at least `minHosts` hosts hold. */
export class ExactCount {
  /** Pages of the top set: the `maxPages` most popular ones, or all. */
  readonly pages: number
  readonly #high: Uint32Array
  readonly #low: Uint32Array
  /** How many popular pages, best first, are at least as popular as the last of the top set. */
  readonly #tiedPages: number
  readonly #ranks = new Map<number, number>()

  /** Counts the pages of the hosts' last censuses. */
  constructor(hosts: readonly SimHeld[], init: { minHosts: number; maxPages: number }) {
    const popular = countPopular(hosts, init.minHosts)
    this.pages = Math.min(init.maxPages, popular.length)
    const last = popular[this.pages - 1]
    const tied = popular.findIndex((page) => last !== undefined && comparePopularity(page, last) > 0)
    this.#tiedPages = tied === -1 ? popular.length : tied
    this.#high = Uint32Array.from(popular, ({ content }) => prefixHigh(content))
    this.#low = Uint32Array.from(popular, ({ content }) => prefixLow(content))
    for (const rank of popular.keys()) this.#ranks.set(keyOf(this.#high[rank]!, this.#low[rank]!), rank)
  }

  /** Compares a view that holds at most `maxPages` pages; an empty top set is found by an empty view. */
  compare(view: PopularityView, maxPages: number): Agreement {
    const { found, pages } = view.pages <= maxPages ? this.#lookUp(view) : this.#walkTop(view, maxPages)
    return {
      recall: this.pages === 0 ? 1 : Math.min(found, this.pages) / this.pages,
      precision: pages === 0 ? (this.pages === 0 ? 1 : 0) : found / pages,
    }
  }

  /** Each page of the top set, and of its ties, is looked up in the view. */
  #lookUp(view: PopularityView): { found: number; pages: number } {
    let found = 0
    for (let rank = 0; rank < this.#tiedPages; rank++) {
      if (view.hostsOf(this.#high[rank]!, this.#low[rank]!) > 0) found += 1
    }
    return { found, pages: view.pages }
  }

  #walkTop(view: PopularityView, maxPages: number): { found: number; pages: number } {
    const top = view.top(maxPages)
    let found = 0
    for (let i = 0; i < top.count; i++) {
      const rank = this.#ranks.get(keyOf(top.high[i]!, top.low[i]!)) ?? Infinity
      if (rank < this.#tiedPages) found += 1
    }
    return { found, pages: top.count }
  }
}

interface CountedPage {
  content: number
  hosts: number
  guests: number
}

/** Pages held by at least `minHosts` hosts, most hosts first, then most guests, then in order of content. */
function countPopular(hosts: readonly SimHeld[], minHosts: number): CountedPage[] {
  const all = new Float64Array(hosts.reduce((sum, host) => sum + host.contents.length, 0))
  let end = 0
  for (const host of hosts) {
    all.set(host.contents, end)
    end += host.contents.length
  }
  all.sort()
  const popular = new Map<number, CountedPage>()
  for (let first = 0, next = 0; first < all.length; first = next) {
    while (next < all.length && all[next] === all[first]) next += 1
    const content = all[first]!
    if (next - first >= minHosts) popular.set(content, { content, hosts: next - first, guests: 0 })
  }
  // Each host's contents rise, like the popular ones: both are walked in parallel.
  const rising = [...popular.values()]
  for (const { contents, guests } of hosts) {
    let place = 0
    for (const page of rising) {
      while (place < contents.length && contents[place]! < page.content) place += 1
      if (contents[place] === page.content) page.guests += guests[place]!
    }
  }
  return rising.sort((one, other) => comparePopularity(one, other) || one.content - other.content)
}

/** Below 0: `one` is more popular. */
function comparePopularity(one: CountedPage, other: CountedPage): number {
  return other.hosts - one.hosts || other.guests - one.guests
}

/** 53 bits of a prefix. */
function keyOf(high: number, low: number): number {
  return high * 2 ** 21 + (low >>> 11)
}
