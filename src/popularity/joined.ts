import { PageColumns, SortedTable, type Prefixes } from '../page/index.ts'
import type { Popularity, PopularityView, PopularPages } from './api.ts'

type Traffic = Popularity['traffic']['report']
type Sizes = Popularity['sizes']

/** The popularity of several tenants' pages as one. No page is of two: their ids have nothing in common. */
export function joinPopularity(parts: readonly Popularity[]): Popularity {
  return parts.length === 1 ? parts[0]! : new JoinedPopularity(parts)
}

class JoinedPopularity implements Popularity {
  readonly view: PopularityView
  readonly #parts: readonly Popularity[]

  constructor(parts: readonly Popularity[]) {
    this.#parts = parts
    this.view = new JoinedView(parts.map(({ view }) => view))
  }

  get viewAgeMs(): number {
    return Math.max(...this.#parts.map(({ viewAgeMs }) => viewAgeMs))
  }

  get traffic(): Popularity['traffic'] {
    return {
      report: trafficOf(this.#parts.map(({ traffic }) => traffic.report)),
      view: trafficOf(this.#parts.map(({ traffic }) => traffic.view)),
    }
  }

  get refusals(): Readonly<Record<string, number>> {
    const all: Record<string, number> = {}
    for (const { refusals } of this.#parts) {
      for (const [reason, count] of Object.entries(refusals)) all[reason] = (all[reason] ?? 0) + count
    }
    return all
  }

  get sizes(): Sizes {
    const all: Sizes = { reportBytes: 0, reportedPages: 0, viewPages: 0, viewBytes: 0, publishedPages: 0 }
    for (const { sizes } of this.#parts) {
      for (const name of Object.keys(all) as (keyof Sizes)[]) all[name] += sizes[name]
    }
    return all
  }

  standBack(): () => void {
    const goOns = this.#parts.map((part) => part.standBack())
    return () => { for (const goOn of goOns) goOn() }
  }

  rekey(sliceKey: Uint8Array): void {
    for (const part of this.#parts) part.rekey(sliceKey)
  }

  async start(): Promise<void> {
    for (const part of this.#parts) await part.start()
  }

  async stop(): Promise<void> {
    await Promise.all(this.#parts.map((part) => part.stop()))
  }
}

class JoinedView implements PopularityView {
  readonly #views: readonly PopularityView[]

  constructor(views: readonly PopularityView[]) {
    this.#views = views
  }

  get pages(): number {
    return this.#views.reduce((sum, { pages }) => sum + pages, 0)
  }

  get bytes(): number {
    return this.#views.reduce((sum, { bytes }) => sum + bytes, 0)
  }

  guestsOf(high: number, low: number): number {
    return Math.max(...this.#views.map((view) => view.guestsOf(high, low)))
  }

  hostsOf(high: number, low: number): number {
    return Math.max(...this.#views.map((view) => view.hostsOf(high, low)))
  }

  holdersOf(high: number, low: number): string[] {
    return this.#views.map((view) => view.holdersOf(high, low)).find((holders) => holders.length > 0) ?? []
  }

  among(prefixes: Prefixes, bits: number): Prefixes & { indices: Uint32Array } {
    const all = this.#views.map((view) => view.among(prefixes, bits))
    // The view that has it, and its place there, for each of the prefixes.
    const views = new Int8Array(prefixes.count).fill(-1)
    const places = new Uint32Array(prefixes.count)
    all.forEach(({ count, indices }, view) => {
      for (let place = 0; place < count; place++) {
        views[indices[place]!] = view
        places[indices[place]!] = place
      }
    })
    const indices = Uint32Array.from(views.keys()).filter((index) => views[index] !== -1)
    return {
      count: indices.length, indices,
      high: indices.map((index) => all[views[index]!]!.high[places[index]!]!),
      low: indices.map((index) => all[views[index]!]!.low[places[index]!]!),
    }
  }

  forEach(visit: (high: number, low: number, guests: number, hosts: number) => void): void {
    const columns = new PageColumns(this.pages)
    for (const view of this.#views) {
      view.forEach((high, low, guests, hosts) => columns.push(high, low, guests * 2 ** 16 + hosts))
    }
    SortedTable.from(columns).forEach((high, low, counts) => visit(high, low, counts >>> 16, counts & 0xffff))
  }

  top(countMax: number): PopularPages {
    const lists = this.#views.map((view) => view.top(countMax))
    const all = lists.flatMap((list) => Array.from({ length: list.count }, (_, place) => ({ list, place })))
    const best = all.sort((one, other) => rankIn(other) - rankIn(one)).slice(0, Math.max(0, Math.floor(countMax)))
    return {
      count: best.length,
      high: Uint32Array.from(best, ({ list, place }) => list.high[place]!),
      low: Uint32Array.from(best, ({ list, place }) => list.low[place]!),
      guests: Uint16Array.from(best, ({ list, place }) => list.guests[place]!),
      hosts: Uint16Array.from(best, ({ list, place }) => list.hosts[place]!),
      holders: best.map(({ list, place }) => list.holders[place]!),
    }
  }
}

/** Most hosts first, then most guests. */
function rankIn({ list, place }: { list: PopularPages; place: number }): number {
  return list.hosts[place]! * 2 ** 16 + list.guests[place]!
}

function trafficOf(parts: readonly Traffic[]): Traffic {
  return {
    sentBytes: parts.reduce((sum, { sentBytes }) => sum + sentBytes, 0),
    receivedBytes: parts.reduce((sum, { receivedBytes }) => sum + receivedBytes, 0),
  }
}
