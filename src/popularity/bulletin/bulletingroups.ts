import { mix } from '../owners.ts'
import { PopularRun } from '../popularrun.ts'

/** How a group relates to its slice. */
export const GROUP_KIND = {
  /** No change: the slice is still at this version. */
  still: 0,
  /** The changes since the version before. */
  changes: 1,
  /** All pages of the slice. */
  whole: 2,
  /** The changes since the former publisher's contents, for hosts whose slice has this checksum. */
  takeover: 3,
} as const
export type GroupKind = (typeof GROUP_KIND)[keyof typeof GROUP_KIND]

/** What a message carries about one slice. */
export interface BulletinGroup {
  slice: number
  kind: GroupKind
  /** Version of the slice at its publisher, from 1; 0 in a view of slices that nobody publishes. */
  version: number
  /** Tag and incarnation of the publisher: in a bulletin the sender's own, in a view any host's. */
  publisher: number
  incarnation: number
  pages: PopularRun
  /** For a takeover: `checksumOf` the contents that it changes. */
  checksum?: number
}

/** Identifies the contents of a slice by their pages. */
export function checksumOf({ rests, count }: PopularRun): number {
  let sum = count
  for (let page = 0; page < count; page++) sum = (sum + mix(rests[page]! % 2 ** 32)) >>> 0
  return sum
}

/** A group without pages; the caller pushes them. */
export function createGroup(group: Omit<BulletinGroup, 'pages'>, expectedPages = 0): BulletinGroup {
  return { ...group, pages: new PopularRun(expectedPages) }
}
