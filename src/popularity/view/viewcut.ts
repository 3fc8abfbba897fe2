import { popularityRank } from '../popularrun.ts'
import type { ViewBucket } from './viewbucket.ts'

/** Ties of one rank are ordered by this many last bits of their rest, which are random and the same on all hosts. */
const TIE_BITS = 16
const TIE_LIMIT = 2 ** TIE_BITS
/** Hosts and guests of a page are counted in 16 bits. */
const COUNT_LIMIT = 2 ** 16

/** The line between the most popular pages and the others. */
export interface Cut {
  /** Rank of the least popular page above the line. */
  rank: number
  /** How many pages of that rank are above it. */
  tiesAbove: number
  /** How many pages of that rank there are. */
  ties: number
}

/** Below everything: a view that has room takes all pages. */
export const NO_FLOOR: Floor = { rank: 0, tie: TIE_LIMIT }

/** The line for single pages: above it are those of a higher rank, or of the same rank with a lower tie. */
export interface Floor {
  rank: number
  tie: number
}

/**
 * Draws the line below the `count` (from 1 to all) most popular pages, by counting: first by hosts, then by guests
 * among pages with as many hosts as the last page above the line.
 */
export function cutAfter(count: number, buckets: readonly ViewBucket[]): Cut {
  const perHosts = new Uint32Array(COUNT_LIMIT)
  for (const { hosts, count: pages } of buckets) {
    for (let index = 0; index < pages; index++) perHosts[hosts[index]!]! += 1
  }
  const byHosts = walkDown(perHosts, count)
  const perGuests = new Uint32Array(COUNT_LIMIT)
  for (const { hosts, guests, count: pages } of buckets) {
    for (let index = 0; index < pages; index++) if (hosts[index] === byHosts.value) perGuests[guests[index]!]! += 1
  }
  const byGuests = walkDown(perGuests, byHosts.remaining)
  return {
    rank: popularityRank(byHosts.value, byGuests.value), tiesAbove: byGuests.remaining,
    ties: perGuests[byGuests.value]!,
  }
}

/** The floor above which there are at most `count` pages: fewer where ties cannot be told apart. */
export function floorAfter(count: number, buckets: readonly ViewBucket[]): Floor {
  const { rank, tiesAbove, ties } = cutAfter(count, buckets)
  if (tiesAbove === ties) return { rank, tie: TIE_LIMIT }
  const perTie = new Uint32Array(TIE_LIMIT)
  for (const { rests, hosts, guests, count: pages } of buckets) {
    for (let index = 0; index < pages; index++) {
      if (popularityRank(hosts[index]!, guests[index]!) === rank) perTie[tieOf(rests[index]!)]! += 1
    }
  }
  let tie = 0
  for (let above = perTie[0]!; above <= tiesAbove; above += perTie[tie]!) tie += 1
  return { rank, tie }
}

/** Whether a page is above the floor; a page with no host never is. */
export function isAbove(floor: Floor, rest: number, hosts: number, guests: number): boolean {
  if (hosts === 0) return false
  const rank = popularityRank(hosts, guests)
  return rank > floor.rank || (rank === floor.rank && (floor.tie === TIE_LIMIT || tieOf(rest) < floor.tie))
}

function tieOf(rest: number): number {
  // `%` on doubles is slow.
  return rest - Math.floor(rest / TIE_LIMIT) * TIE_LIMIT
}

/** Counting from the highest value: the value at which `count` is reached, and how many of that value count. */
function walkDown(perValue: Uint32Array, count: number): { value: number; remaining: number } {
  let value = perValue.length - 1
  let remaining = count
  while (remaining > perValue[value]!) remaining -= perValue[value--]!
  return { value, remaining }
}
