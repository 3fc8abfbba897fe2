import type { Census } from '../census/index.ts'
import type { PopularityView } from '../popularity/index.ts'

/** A page that several hosts of the mesh hold, as far as this host knows. */
export interface PopularPage {
  /** The first 64 bits of its id: 16 hex digits. */
  prefix: string
  /** Numbers of guests and of hosts in the mesh that hold it. */
  guests: number
  hosts: number
  /** Whether a guest of this host held it when last scanned. */
  held: boolean
  /** Up to three hosts that hold it; none where they are not known by name. */
  holders: string[]
}

/** The `countMax` most popular pages, best first. */
export function listPopular(view: PopularityView, census: Pick<Census, 'has'>, countMax: number): PopularPage[] {
  const { count, high, low, guests, hosts, holders } = view.top(countMax)
  return Array.from({ length: count }, (_, index) => ({
    prefix: hexOf(high[index]!) + hexOf(low[index]!),
    guests: guests[index]!,
    hosts: hosts[index]!,
    held: census.has(high[index]!, low[index]!, 64),
    holders: holders[index]!,
  }))
}

function hexOf(half: number): string {
  return half.toString(16).padStart(8, '0')
}
