/**
 * What this host should keep: a pure function of what is popular, what is resident here, what is kept, and who the
 * members are. It does its work in steps, so that others have a turn in between.
 *
 * What a page is worth here is the chance that a guest that arrives has it: the guests elsewhere that hold it. The
 * head are the best, kept by every host. The tail are the next ones, of which each is kept by few hosts: here stand
 * those that this host owns. The tail takes what it needs of its share of the budget, and the head all the rest; if
 * all fits, all is head.
 *
 * What is kept as the head counts for more than it is worth there, and what is kept at all in the tail, so that small
 * changes move nothing. What is resident here needs no keeping; but what is kept and then becomes resident counts half,
 * for the guest may leave again. What is kept and no longer wanted, because it fell below or is no longer popular, is
 * surplus: it stays while there is room, and goes first when room is needed. What guests left takes the room that is
 * over: the store gives it up by itself.
 *
 * For 2 million popular pages and 4 million kept ones it takes some 1.5 s of CPU, in steps of a millisecond but for two
 * that read the view and the store (some 50 ms), and 100 MB meanwhile: 26 bytes a popular page, 9 a kept one.
 */
import type { Prefixes } from '../page/index.ts'
import type { Store } from '../store/index.ts'
import {
  FLAG, gatherCandidates, guestsOf, hostsOf, markKept, type Candidates, type CandidateSources,
} from './candidates.ts'
import { rankPages } from './ranking.ts'
import { inShortTurns, inTurns } from './turns.ts'

/**
 * Share of the budget that the tail leaves to the head. In the simulation (`npm run -s sim:placement -- --settings`,
 * 200 hosts) a budget of 1 % finds 1.5 points more at the destination if all of it is head, 1.4 with this share and 1.1
 * with none, while the tail gains 0.1 points at best where nine hosts in ten are out of reach: what is popular is
 * resident somewhere. So the head comes first, and the tail is there for pages that few hosts hold.
 */
export const HEAD_SHARE = 0.9
/** Hosts that keep each page of the tail: one may be away. In the simulation one, two and three are alike. */
export const TAIL_COPIES = 2

/** What is kept holds its place until others are worth an eighth more than it, and one guest. In eighths of a guest. */
const EIGHTHS = 8
const KEPT_EIGHTHS = 9
const KEPT_MORE = 8
/**
 * What a kept page is worth while it is resident here: as likely as not, its guest leaves before another one comes. In
 * the simulation of churn (40 hosts, budgets of 1, 5 and 10 %), beside 0, this saves 33, 44 and 48 % of all that is
 * fetched, and finds 0.1, 0.5 and 0.5 points less.
 */
const RESIDENT_WORTH = 0.5
/** What a page may be kept as that is less than what it should be kept as. */
const LESSER = { head: FLAG.tail | FLAG.departed, tail: FLAG.departed }

export interface PlanInput extends CandidateSources {
  store: Pick<Store, 'pages' | 'forEach'>
  /** Pages that there is room for. */
  budgetPages: number
  /** Share of the budget that the tail leaves to the head. */
  headShare: number
  /** Whether this host is one of those that keep a page of the tail. */
  isOwned: (high: number, low: number) => boolean
}

/** Pages in the order of their worth, those of the head before those of the tail. */
export interface PlannedPages extends Prefixes {
  headCount: number
}

export interface Plan {
  /** Pages of head and tail that should be kept. */
  wanted: number
  /** Those that are not kept. */
  fetch: PlannedPages
  /** Those that are kept for a lesser reason, and would lose their place for it. */
  claim: PlannedPages
  /** Kept, and not wanted: what goes first stands first. */
  surplus: Prefixes
  /** How many of these have to go for all that is fetched to find room. */
  dropCount: number
}

export function* planPlacement(input: PlanInput): Generator<void, Plan> {
  const { store, budgetPages, headShare, isOwned } = input
  const keptPages = store.pages
  const candidates = yield* gatherCandidates(input)
  const strangers = yield* markKept(candidates, store)
  const ownedCount = yield* markOwned(candidates, isOwned)
  const order = yield* pagesWhere(candidates, (flags) =>
    (flags & FLAG.resident) === 0 || (flags & (FLAG.head | FLAG.tail)) !== 0)
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
  const isKept = FLAG.head | FLAG.tail | FLAG.departed
  const fetch = yield* planned(candidates, head, tail, (flags) => (flags & isKept) === 0)
  const claim = yield* planned(candidates, head, tail, (flags, role) => (flags & LESSER[role]) !== 0)
  const lacking = Math.max(0, fetch.count - (budgetPages - keptPages))
  return { wanted: headCount + tail.length, fetch, claim, surplus, dropCount: Math.min(surplus.count, lacking) }
}

/** Marks what this host owns and has to fetch to have it. */
function* markOwned({ table, flags, count }: Candidates, isOwned: PlanInput['isOwned']): Generator<void, number> {
  let owned = 0
  yield* inShortTurns(count, (index) => {
    if ((flags[index]! & FLAG.resident) !== 0 || !isOwned(table.highAt(index), table.lowAt(index))) return
    flags[index]! |= FLAG.owned
    owned += 1
  })
  return owned
}

/** The best first; those that are kept as one of `kinds` count for more. Ties: most hosts, then the least prefix. */
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
      const isResident = (flags[index]! & FLAG.resident) !== 0
      const guests = Math.floor(guestsOf(candidates, index) * (isResident ? RESIDENT_WORTH : 1))
      return (flags[index]! & kinds) === 0 ? guests * EIGHTHS : guests * KEPT_EIGHTHS + KEPT_MORE
    },
    firstMax: guestsMax * KEPT_EIGHTHS + KEPT_MORE,
    secondOf: (index) => hostsOf(candidates, index),
    secondMax: hostsMax,
  })
}

/** The candidates whose flags meet a condition, in the order of their prefixes. */
function* pagesWhere({ flags, count }: Candidates, isMet: (flags: number) => boolean): Generator<void, Uint32Array> {
  const pages = new Uint32Array(count)
  let found = 0
  yield* inTurns(count, (index) => { if (isMet(flags[index]!)) pages[found++] = index })
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

/** How many pages the head can have so that the owned ones below it find room in the tail, as far as its share goes. */
function headCountOf({ flags }: Candidates, order: Uint32Array, { ownedCount, budgetPages, tailMax }: Bounds): number {
  let ownedBelow = ownedCount
  for (let headCount = 0; headCount < order.length; headCount++) {
    if ((flags[order[headCount]!]! & FLAG.owned) !== 0) ownedBelow -= 1
    if (headCount + 1 + Math.min(tailMax, ownedBelow) > budgetPages) return headCount
  }
  return order.length
}

/** What is kept as head or tail, and was not chosen: those that are not popular, then the least worth first. */
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

/** Those of head and tail whose flags, and what they should be kept as, meet a condition. */
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
