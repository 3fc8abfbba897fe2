/**
 * Which pages this host should keep: a pure function of the popular pages, the resident pages, the kept pages and the
 * members. It works in steps, so that the thread can do other work in between.
 *
 * The worth of a page is the chance that an arriving guest has it, measured by the guests elsewhere that hold it. The
 * head is the best pages, kept by every host. The tail is the next ones, each kept by a few hosts; this host keeps
 * those that it owns. The tail takes what it needs of its share of the budget, and the head all the rest; if all pages
 * fit, all are head.
 *
 * A page that is not kept must be fetched, and the page whose place it takes may have to be fetched again. So it takes
 * the place of one that is kept as head only if it is worth four times as much. If few guests hold a page, it is not
 * fetched at all: it would be popular no more before a guest comes that has it. Resident pages need not be kept, but
 * stay: the guest may leave again. Kept pages that are no longer wanted are surplus: they stay while there is room and
 * are dropped first. Pages of guests that left use the free room, and take the place of head pages that are worth less
 * (exchange.ts).
 *
 * For 2 million popular and 4 million kept pages it takes about 1.5 s of CPU time, in steps of a millisecond, except
 * two of about 50 ms that read the view and the store; and 100 MB of memory: 26 bytes a popular page, 9 a kept one.
 */
import type { Prefixes } from '../page/index.ts'
import type { Store } from '../store/index.ts'
import {
  FLAG, gatherCandidates, guestsOf, hostsOf, markKept, type Candidates, type CandidateSources,
} from './candidates.ts'
import { LEAST_MAX, type LeastKept } from './exchange.ts'
import { rankPages } from './ranking.ts'
import { inShortTurns, inTurns } from './turns.ts'

/**
 * Share of the budget that the tail leaves to the head. In the simulation (`npm run -s sim:placement -- --settings`,
 * 200 hosts) a budget of 1 % finds 1.5 points more at the destination if all of it is head, 1.4 with this share and 1.1
 * with none. The tail gains 0.1 points at best, with nine hosts in ten unreachable, because popular pages are resident
 * somewhere. So the head comes first, and the tail is for pages that few hosts hold.
 */
export const HEAD_SHARE = 0.9
/** Hosts that keep each page of the tail: one may be away. In the simulation one, two and three did equally well. */
export const TAIL_COPIES = 2

/**
 * What a page counts for each guest that has it, and besides: one that is kept as the kind in question (for the head as
 * head, for the tail as head or tail), in eighths of what any other counts.
 */
const EIGHTHS = 8
const KEPT_EIGHTHS = 34
const KEPT_MORE = 40
/** A page that fewer than one guest in so many hosts has is not worth its fetch. */
const FETCH_HOSTS = 3
const KEPT = FLAG.head | FLAG.tail | FLAG.departed
/** Kinds below the kind that a page should have. */
const LESSER = { head: FLAG.tail | FLAG.departed, tail: FLAG.departed }

export interface PlanInput extends CandidateSources {
  store: Pick<Store, 'pages' | 'forEach'>
  /** Budget in pages. */
  budgetPages: number
  /** Share of the budget that the tail leaves to the head. */
  headShare: number
  /** Pages that fewer guests hold are not fetched. */
  guestsMin: number
  /** Whether this host is an owner of a page in the tail. */
  isOwned: (high: number, low: number) => boolean
}

/** How many guests must hold a page that is worth its fetch, in a mesh of so many hosts. */
export function fetchGuestsMin(hosts: number): number {
  return hosts / FETCH_HOSTS
}

/** Pages in order of worth, the head before the tail. */
export interface PlannedPages extends Prefixes {
  headCount: number
}

export interface Plan {
  /** Pages of head and tail that should be kept. */
  wanted: number
  /** Those not kept yet. */
  fetch: PlannedPages
  /** Those kept as a lesser kind, which the store would drop earlier. */
  claim: PlannedPages
  /** Kept pages that are not wanted, in the order of dropping. */
  surplus: Prefixes
  /** Number of surplus pages to drop so that all fetched ones fit. */
  dropCount: number
  /** Kept pages of the head, those that are worth least, in rising order of worth. */
  least: LeastKept
}

export function* planPlacement(input: PlanInput): Generator<void, Plan> {
  const { store, budgetPages, headShare, guestsMin, isOwned } = input
  const keptPages = store.pages
  const candidates = yield* gatherCandidates(input)
  const strangers = yield* markKept(candidates, store)
  // A page that one host alone holds is in the view only where an operator wants it everywhere, such as a public one.
  const mayHave = (index: number): boolean => (candidates.flags[index]! & KEPT) !== 0 ||
    guestsOf(candidates, index) >= guestsMin || hostsOf(candidates, index) === 1
  const ownedCount = yield* markOwned(candidates, (index, high, low) => mayHave(index) && isOwned(high, low))
  const order = yield* pagesWhere(candidates, (flags, index) =>
    ((flags & FLAG.resident) === 0 && mayHave(index)) || (flags & (FLAG.head | FLAG.tail)) !== 0)
  yield* rank(candidates, order, FLAG.head)
  const tailMax = budgetPages - Math.floor(headShare * budgetPages)
  const headCount = headCountOf(candidates, order, { ownedCount, budgetPages, tailMax })
  const head = order.subarray(0, headCount)
  yield* choose(candidates, head)
  const owned = yield* pagesWhere(candidates, (flags) => (flags & (FLAG.owned | FLAG.chosen)) === FLAG.owned)
  yield* rank(candidates, owned, FLAG.head | FLAG.tail)
  const tail = owned.subarray(0, Math.min(tailMax, budgetPages - headCount))
  yield* choose(candidates, tail)
  const surplus = yield* surplusOf(candidates, order.subarray(headCount), strangers)
  const fetch = yield* planned(candidates, head, tail, (flags) => (flags & KEPT) === 0)
  const claim = yield* planned(candidates, head, tail, (flags, role) => (flags & LESSER[role]) !== 0)
  const lacking = Math.max(0, fetch.count - (budgetPages - keptPages))
  return {
    wanted: headCount + tail.length, fetch, claim, surplus, dropCount: Math.min(surplus.count, lacking),
    least: leastOf(candidates, head),
  }
}

/** Marks pages that this host owns and that are not resident. */
function* markOwned(
  { table, flags, count }: Candidates, isOwned: (index: number, high: number, low: number) => boolean,
): Generator<void, number> {
  let owned = 0
  yield* inShortTurns(count, (index) => {
    if ((flags[index]! & FLAG.resident) !== 0 || !isOwned(index, table.highAt(index), table.lowAt(index))) return
    flags[index]! |= FLAG.owned
    owned += 1
  })
  return owned
}

/** Best first; pages kept as one of `kinds` count for more. Ties: most hosts, then the least prefix. */
function* rank(candidates: Candidates, pages: Uint32Array, kinds: number): Generator<void> {
  const { flags } = candidates
  let guestsMax = 0
  let hostsMax = 0
  yield* inTurns(pages.length, (i) => {
    guestsMax = Math.max(guestsMax, guestsOf(candidates, pages[i]!))
    hostsMax = Math.max(hostsMax, hostsOf(candidates, pages[i]!))
  })
  yield* rankPages(pages, {
    firstOf: (index) => {
      const guests = guestsOf(candidates, index)
      return (flags[index]! & kinds) === 0 ? guests * EIGHTHS : guests * KEPT_EIGHTHS + KEPT_MORE
    },
    firstMax: guestsMax * KEPT_EIGHTHS + KEPT_MORE,
    secondOf: (index) => hostsOf(candidates, index),
    secondMax: hostsMax,
  })
}

/** The candidates whose flags meet a condition, in order of prefixes. */
function* pagesWhere(
  { flags, count }: Candidates, isMet: (flags: number, index: number) => boolean,
): Generator<void, Uint32Array> {
  const pages = new Uint32Array(count)
  let found = 0
  yield* inTurns(count, (index) => { if (isMet(flags[index]!, index)) pages[found++] = index })
  return pages.subarray(0, found)
}

function choose({ flags }: Candidates, pages: Uint32Array): Generator<void> {
  return inTurns(pages.length, (i) => { flags[pages[i]!]! |= FLAG.chosen })
}

interface Bounds {
  ownedCount: number
  budgetPages: number
  tailMax: number
}

/** Size of the head that leaves room for the owned pages below it, up to the tail's share. */
function headCountOf({ flags }: Candidates, order: Uint32Array, { ownedCount, budgetPages, tailMax }: Bounds): number {
  let ownedBelow = ownedCount
  for (let headCount = 0; headCount < order.length; headCount++) {
    if ((flags[order[headCount]!]! & FLAG.owned) !== 0) ownedBelow -= 1
    if (headCount + 1 + Math.min(tailMax, ownedBelow) > budgetPages) return headCount
  }
  return order.length
}

/** Pages kept as head or tail that were not chosen: first the unpopular ones, then by rising worth. */
function* surplusOf(
  { table, flags }: Candidates, rest: Uint32Array, strangers: Prefixes,
): Generator<void, Prefixes> {
  const isSurplus = (index: number): boolean =>
    (flags[index]! & FLAG.chosen) === 0 && (flags[index]! & (FLAG.head | FLAG.tail)) !== 0
  let count = strangers.count
  yield* inTurns(rest.length, (i) => { if (isSurplus(rest[i]!)) count += 1 })
  const surplus = { high: new Uint32Array(count), low: new Uint32Array(count), count: strangers.count }
  surplus.high.set(strangers.high)
  surplus.low.set(strangers.low)
  yield* inTurns(rest.length, (i) => {
    const index = rest[rest.length - 1 - i]!
    if (!isSurplus(index)) return
    surplus.high[surplus.count] = table.highAt(index)
    surplus.low[surplus.count++] = table.lowAt(index)
  })
  return surplus
}

/** The kept pages at the end of the head, the last one first. */
function leastOf(candidates: Candidates, head: Uint32Array): LeastKept {
  const { table, flags } = candidates
  const kept = head.subarray(-LEAST_MAX).filter((index) => (flags[index]! & KEPT) !== 0).reverse()
  return {
    count: kept.length, high: kept.map((index) => table.highAt(index)), low: kept.map((index) => table.lowAt(index)),
    guests: kept.map((index) => guestsOf(candidates, index)),
  }
}

/** Pages of head and tail whose flags and wanted kind meet a condition. */
function* planned(
  { table, flags }: Candidates, head: Uint32Array, tail: Uint32Array,
  isMet: (flags: number, role: 'head' | 'tail') => boolean,
): Generator<void, PlannedPages> {
  const countMax = head.length + tail.length
  const meets = (place: number): boolean => place < head.length
    ? isMet(flags[head[place]!]!, 'head') : isMet(flags[tail[place - head.length]!]!, 'tail')
  let count = 0
  yield* inTurns(countMax, (place) => { if (meets(place)) count += 1 })
  const pages = { high: new Uint32Array(count), low: new Uint32Array(count), count: 0, headCount: 0 }
  yield* inTurns(countMax, (place) => {
    if (!meets(place)) return
    const index = place < head.length ? head[place]! : tail[place - head.length]!
    pages.high[pages.count] = table.highAt(index)
    pages.low[pages.count++] = table.lowAt(index)
    if (place < head.length) pages.headCount += 1
  })
  return pages
}
