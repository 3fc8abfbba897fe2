/**
 * Which pages a full census keeps. Volatile pages go first, and pages that several local guests hold go last. Within a
 * kind the page id decides, not the order of scans: so all hosts keep the same pages, and common pages stay common.
 */

/** Kinds of pages; those with the highest number are left out first. */
export const KINDS = { shared: 0, single: 1, volatile: 2 } as const
export type Kind = typeof KINDS[keyof typeof KINDS]

const KIND_COUNT = 3
/** The pages of one kind are divided into this many shares by id; a share is kept or left out as a whole. */
const SHARES = 256

/** Number of entries of each kind in each share. */
export type ShareCounts = Float64Array<ArrayBuffer>
/** For each kind, the number of shares that are kept. */
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

/** By the low half of the prefix: reports read ranges of the high half, and each range stays a fair sample. */
function shareOf(low: number): number {
  return low >>> 24
}
