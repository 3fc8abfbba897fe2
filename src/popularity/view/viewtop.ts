import type { PopularPages } from '../api.ts'
import { HOLDERS_MAX, popularityRank } from '../popularrun.ts'
import { highOf, lowOf, SLICE_COUNT } from '../slice.ts'
import type { ViewBucket } from './viewbucket.ts'
import { cutAfter } from './viewcut.ts'

/** Bits of a page's index among the chosen: with the 32 of its rank it fits the 53 of a double. */
const POSITION_BITS = 21
const POSITION_LIMIT = 2 ** POSITION_BITS
/** The most pages that can be listed. */
const TOP_PAGES_MAX = POSITION_LIMIT
const RANK_LIMIT = 2 ** 32

/** The arrays of a view. */
export interface ViewPages {
  buckets: readonly ViewBucket[]
  /** Slices of a bucket, as a power of two. */
  bucketBits: number
  /** Index of each slice's first page in its bucket. */
  starts: Uint32Array
  /** Name of the holder at this place of the view's tags, if it is known. */
  nameAt: (place: number) => string | undefined
}

/** The most popular pages, best first, ties in the order of their prefixes. Only those that are listed are sorted. */
export function topOf(countMax: number, view: ViewPages): PopularPages {
  const pages = view.buckets.reduce((sum, bucket) => sum + bucket.count, 0)
  const count = Math.max(0, Math.min(Math.floor(countMax), pages, TOP_PAGES_MAX))
  const { slices, indices, order } = choose(count, view)
  const names = new Map<number, string | undefined>()
  const top: PopularPages = {
    count, high: new Uint32Array(count), low: new Uint32Array(count), guests: new Uint16Array(count),
    hosts: new Uint16Array(count), holders: [],
  }
  for (let place = 0; place < count; place++) {
    const position = order[place]! % POSITION_LIMIT
    const slice = slices[position]!
    const index = indices[position]!
    const bucket = view.buckets[slice >>> view.bucketBits]!
    top.high[place] = highOf(slice, bucket.rests[index]!)
    top.low[place] = lowOf(bucket.rests[index]!)
    top.guests[place] = bucket.guests[index]!
    top.hosts[place] = bucket.hosts[index]!
    top.holders.push(namesOf(bucket, index, (holder) => {
      if (!names.has(holder)) names.set(holder, view.nameAt(holder))
      return names.get(holder)
    }))
  }
  return top
}

/** The pages above the line, in the order of their prefixes, and `order`: their indices, best first. */
function choose(count: number, { buckets, bucketBits, starts }: ViewPages): Chosen {
  const slices = new Uint16Array(count)
  const indices = new Uint32Array(count)
  const order = new Float64Array(count)
  if (count === 0) return { slices, indices, order }
  let { rank: cutRank, tiesAbove } = cutAfter(count, buckets)
  let chosen = 0
  for (let slice = 0; slice < SLICE_COUNT; slice++) {
    const { hosts, guests, count: bucketPages } = buckets[slice >>> bucketBits]!
    const isLast = (slice + 1) % 2 ** bucketBits === 0
    const end = isLast ? bucketPages : starts[slice + 1]!
    for (let index = starts[slice]!; index < end; index++) {
      const rank = popularityRank(hosts[index]!, guests[index]!)
      if (rank < cutRank || (rank === cutRank && tiesAbove-- <= 0)) continue
      slices[chosen] = slice
      indices[chosen] = index
      order[chosen] = (RANK_LIMIT - 1 - rank) * POSITION_LIMIT + chosen
      chosen += 1
    }
  }
  order.sort()
  return { slices, indices, order }
}

interface Chosen {
  slices: Uint16Array
  indices: Uint32Array
  /** Rising numbers whose last POSITION_BITS bits are an index. */
  order: Float64Array
}

/** Names of the holders of the page at `index`, where they are known. */
export function namesOf(bucket: ViewBucket, index: number, nameAt: ViewPages['nameAt']): string[] {
  const holders: string[] = []
  for (let holder = 0; holder < HOLDERS_MAX; holder++) {
    const place = bucket.holders[index * HOLDERS_MAX + holder]!
    const name = place === 0 ? undefined : nameAt(place)
    if (name !== undefined) holders.push(name)
  }
  return holders
}
