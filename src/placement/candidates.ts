import { PageColumns, SortedTable, type Prefixes } from '../page/index.ts'
import type { PopularityView } from '../popularity/index.ts'
import type { PageKind, Store } from '../store/index.ts'
import { inShortTurns } from './turns.ts'

/**
 * Flags of a popular page: the kind as which it is kept, whether this host is an owner in the tail, and whether it is
 * stably resident here.
 */
export const FLAG = { head: 1, tail: 2, departed: 4, owned: 8, chosen: 16, resident: 32 } as const

/** Popular pages in rising order of prefixes; 14 bytes a page. */
export interface Candidates {
  count: number
  /** Numbers of guests and hosts that hold each page: 16 bits each. */
  table: SortedTable
  flags: Uint8Array<ArrayBuffer>
}

export interface CandidateSources {
  view: Pick<PopularityView, 'pages' | 'forEach'>
  /** Whether a page is stably resident here; called once for each page, in rising order. */
  isResident: (high: number, low: number) => boolean
  /** Whether no host had the page a short while ago. */
  isGivenUp: (high: number, low: number) => boolean
}

export function guestsOf({ table }: Candidates, index: number): number {
  return table.valueAt(index) >>> 16
}

export function hostsOf({ table }: Candidates, index: number): number {
  return table.valueAt(index) & 0xffff
}

export function* gatherCandidates({ view, isResident, isGivenUp }: CandidateSources): Generator<void, Candidates> {
  const columns = new PageColumns(view.pages)
  view.forEach((high, low, guests, hosts) => {
    if (!columns.isFull) columns.push(high, low, ((guests << 16) | hosts) >>> 0)
  })
  yield
  const { high, low, values } = columns
  const flags = new Uint8Array(columns.count)
  let count = 0
  yield* inShortTurns(columns.count, (i) => {
    if (isResident(high[i]!, low[i]!)) flags[count] = FLAG.resident
    else if (isGivenUp(high[i]!, low[i]!)) return
    high[count] = high[i]!
    low[count] = low[i]!
    values[count++] = values[i]!
  })
  const table = SortedTable.fromRising({
    high: high.subarray(0, count), low: low.subarray(0, count), values: values.subarray(0, count),
  })
  return { count, table, flags }
}

/** Marks the kept candidates. Returns kept pages of head and tail that are no longer popular. */
export function* markKept(
  { table, flags }: Candidates, store: Pick<Store, 'pages' | 'forEach'>,
): Generator<void, Prefixes> {
  const pages = { high: new Uint32Array(store.pages), low: new Uint32Array(store.pages), count: 0 }
  const kinds = new Uint8Array(store.pages)
  store.forEach((high: number, low: number, kind: PageKind) => {
    pages.high[pages.count] = high
    pages.low[pages.count] = low
    kinds[pages.count++] = FLAG[kind]
  })
  yield
  let strangers = 0
  yield* inShortTurns(pages.count, (i) => {
    const index = table.indexOf(pages.high[i]!, pages.low[i]!)
    if (index >= 0) flags[index]! |= kinds[i]!
    else if (kinds[i] !== FLAG.departed) {
      pages.high[strangers] = pages.high[i]!
      pages.low[strangers++] = pages.low[i]!
    }
  })
  return { high: pages.high.slice(0, strangers), low: pages.low.slice(0, strangers), count: strangers }
}
