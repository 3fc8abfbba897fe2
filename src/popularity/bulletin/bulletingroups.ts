import { mix } from '../owners.ts'
import { PopularRun } from '../popularrun.ts'

/** What a group of a bulletin is of its slice. */
export const GROUP_KIND = {
  /** Nothing changed: the slice is still at this version. */
  still: 0,
  /** The changes from the version before to this one. */
  changes: 1,
  /** All of it. */
  whole: 2,
  /** Another publisher said it until now, and these are the changes since: for those whose slice has this checksum. */
  takeover: 3,
} as const
export type GroupKind = (typeof GROUP_KIND)[keyof typeof GROUP_KIND]

/** What is said of one slice. */
export interface BulletinGroup {
  slice: number
  kind: GroupKind
  /** Version of the slice at its publisher, from 1; 0 in a view of slices that nobody publishes. */
  version: number
  /** Tag and incarnation of the publisher. In a bulletin they are the sender's own, in a view anybody's. */
  publisher: number
  incarnation: number
  pages: PopularRun
  /** Of a takeover: `checksumOf` what it changes. */
  checksum?: number
}

/** Tells apart contents of a slice by their pages. */
export function checksumOf({ rests, count }: PopularRun): number {
  let sum = count
  for (let page = 0; page < count; page++) sum = (sum + mix(rests[page]! % 2 ** 32)) >>> 0
  return sum
}

/** A group without pages; they are pushed to it. */
export function createGroup(group: Omit<BulletinGroup, 'pages'>, expectedPages = 0): BulletinGroup {
  return { ...group, pages: new PopularRun(expectedPages) }
}
