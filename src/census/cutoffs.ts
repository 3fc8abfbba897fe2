/**
 * Which pages a full census keeps. Those that several guests of this host hold go last, volatile ones first. Of one
 * kind the ids decide, and not the order of scans: all hosts keep the same ones, so that what is common stays common.
 */

/** What a page is to a full census; the highest number goes first. */
export const KINDS = { shared: 0, single: 1, volatile: 2 } as const
export type Kind = typeof KINDS[keyof typeof KINDS]

const KIND_COUNT = 3
/** Pages of one kind are kept or left out in shares of this many. */
const SHARES = 256

/** How many entries there are of each kind in each share. */
export type ShareCounts = Float64Array<ArrayBuffer>
/** For each kind, how many of its shares are kept. */
export type Cutoffs = Uint16Array<ArrayBuffer>

export function noShareCounts(): ShareCounts {
  return new Float64Array(KIND_COUNT * SHARES)
}

export function countShare(counts: ShareCounts, kind: Kind, low: number): void {
  counts[kind * SHARES + shareOf(low)]! += 1
}

/** Nothing is left out. */
export function noCutoffs(): Cutoffs {
  return new Uint16Array(KIND_COUNT).fill(SHARES)
}

export function isKept(cutoffs: Cutoffs, kind: Kind, low: number): boolean {
  return shareOf(low) < cutoffs[kind]!
}

/** The cutoffs that leave at most `entriesMax` of the entries that were counted. */
export function cutoffsFor(counts: ShareCounts, entriesMax: number): Cutoffs {
  const cutoffs = new Uint16Array(KIND_COUNT)
  let remaining = entriesMax
  for (let kind = 0; kind < KIND_COUNT; kind++) {
    for (let share = 0; share < SHARES; share++) {
      remaining -= counts[kind * SHARES + share]!
      if (remaining < 0) return cutoffs
      cutoffs[kind] = share + 1
    }
  }
  return cutoffs
}

/** By the low half of the id's prefix: tables are read in parts by the high half, and each part stays a fair sample. */
function shareOf(low: number): number {
  return low >>> 24
}
