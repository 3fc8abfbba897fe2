import { SyntheticCluster } from '../../peers/model.ts'
import { lookAt, writePage } from '../../peers/syntheticmemory.ts'
import type { PopularPage } from '../../src/index.ts'
import { createPageHasher, ID_BYTES, PAGE_BYTES } from '../../src/page/index.ts'
import { systemClock } from '../../src/runtime/clock.ts'
import type { Agreement } from './exact.ts'

/** Exact counting of the pages of synthetic-guest peers, from the model. */
export class PeerCount {
  readonly #init: { peers: number; guests: number; pages: number; seed: number }
  readonly #pageKey: Uint8Array
  /** Prefixes of popular pages, as 16 hex digits. */
  #popular = new Set<string>()
  /** By content: pools are the same at every look. */
  readonly #prefixes = new Map<number, string>()

  constructor(init: { peers: number; guests: number; pages: number; seed: number }, pageKey: Uint8Array) {
    this.#init = init
    this.#pageKey = pageKey
  }

  /** Pages that at least two hosts hold. */
  get pages(): number {
    return this.#popular.size
  }

  /** Counts the pages that are stable now. */
  look(lookSeconds: number): void {
    const { peers, guests, pages, seed } = this.#init
    const cluster = new SyntheticCluster({ seed, pagesPerGuest: pages })
    const look = lookAt(systemClock, lookSeconds * 1000)
    const hostsOf = new Map<number, number>()
    const room = new Float64Array(pages)
    for (let peer = 0; peer < peers; peer++) {
      const held = new Set<number>()
      for (let index = peer * guests; index < (peer + 1) * guests; index++) {
        const count = cluster.guestOf(index).stableContents(look, room, 0)
        for (let i = 0; i < count; i++) held.add(room[i]!)
      }
      for (const content of held) hostsOf.set(content, (hostsOf.get(content) ?? 0) + 1)
    }
    const popular = [...hostsOf].filter(([, hosts]) => hosts >= 2).map(([content]) => content)
    this.#popular = new Set(popular.map((content) => this.#prefixOf(content)))
  }

  compare(pages: readonly PopularPage[]): Agreement {
    const found = pages.filter(({ prefix }) => this.#popular.has(prefix)).length
    return { recall: found / Math.max(1, this.pages), precision: pages.length === 0 ? 0 : found / pages.length }
  }

  #prefixOf(content: number): string {
    const known = this.#prefixes.get(content)
    if (known !== undefined) return known
    const page = Buffer.alloc(PAGE_BYTES)
    writePage(content, page)
    const id = Buffer.alloc(ID_BYTES)
    createPageHasher(this.#pageKey).hashPages(page, 0, 1, id, 0)
    const prefix = id.toString('hex', 0, 8)
    this.#prefixes.set(content, prefix)
    return prefix
  }
}
