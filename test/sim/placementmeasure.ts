import type { Chance } from '../support/chance.ts'
import { Bits } from './placementbits.ts'
import type { ClusterLook, PlacedGuest } from './placementcluster.ts'
import type { Way } from './placementways.ts'

/** Bytes of a page, and of the reference that replaces it. */
const PAGE_BYTES = 4096
const REFERENCE_BYTES = 16
/** With few peers, one host in this many can be asked. */
const FEW = 10

/** Guests that migrate for the measurement. */
export const MIGRATIONS_MAX = 2_000

export interface Migration {
  guest: number
  to: number
}

/** Of the stable non-zero pages of the migrating guests, on average. */
export interface Found {
  /** Share found at the destination, resident or kept. */
  atDestination: number
  /** Share found at the destination, or at a host other than the source that may serve it, because it is popular. */
  atPeer: number
  /**
   * The same with only a tenth of the hosts besides the destination, always the same ones: the others are away or far.
   */
  atFewPeers: number
  /** Bytes that a migration does not send because the destination has the page. */
  savedBytes: number
}

/** Each guest once, or as many as wanted, to another host. */
export function drawMigrations(
  guests: readonly PlacedGuest[], { hosts, countMax, chance }: { hosts: number; countMax: number; chance: Chance },
): Migration[] {
  const stride = Math.max(1, guests.length / countMax)
  return Array.from({ length: Math.min(countMax, guests.length) }, (_, index) => {
    const guest = Math.floor(index * stride)
    return { guest, to: (guests[guest]!.host + 1 + chance.below(hosts - 1)) % hosts }
  })
}

export function measure(
  look: ClusterLook, guests: readonly PlacedGuest[], migrations: readonly Migration[], way: Way,
): Found {
  const kept = keptBy(look, way)
  const sum = { pages: 0, atDestination: 0, atPeer: 0, atFewPeers: 0 }
  for (const { guest, to } of migrations) {
    const source = guests[guest]!.host
    for (const page of look.pagesOf[guest]!) {
      const isThere = look.residentAt[to]!.has(page) || kept.at[to]!.has(page)
      sum.pages += 1
      if (isThere) sum.atDestination += 1
      // A page of a single host leaves it only with the guest itself.
      const isPopular = look.hostsOf[page]! > 1
      if (isThere || isPopular) sum.atPeer += 1
      // The source has it resident, and keeps no stored copy.
      if (isThere || (isPopular && kept.fewCopies[page]! > (source % FEW === 0 ? 1 : 0))) sum.atFewPeers += 1
    }
  }
  return {
    atDestination: sum.atDestination / sum.pages,
    atPeer: sum.atPeer / sum.pages,
    atFewPeers: sum.atFewPeers / sum.pages,
    savedBytes: Math.round((sum.atDestination / migrations.length) * (PAGE_BYTES - REFERENCE_BYTES)),
  }
}

interface Kept {
  /** Pages that are kept at each host. */
  at: Bits[]
  /** On how many of the few peers each page is stored or resident. */
  fewCopies: Uint16Array
}

function keptBy(look: ClusterLook, way: Way): Kept {
  const pages = look.contents.length
  const kept: Kept = { at: [], fewCopies: new Uint16Array(pages) }
  for (let host = 0; host < look.hosts; host++) {
    const bits = new Bits(pages)
    for (const page of way(host)) {
      bits.add(page)
      if (host % FEW === 0) kept.fewCopies[page]! += 1
    }
    kept.at.push(bits)
    if (host % FEW !== 0) continue
    for (let page = 0; page < pages; page++) if (look.residentAt[host]!.has(page)) kept.fewCopies[page]! += 1
  }
  return kept
}

/**
 * The share that some peer would have if pages of a single host might be spread too, with the whole cluster's budget
 * spent on that: out of reach, because only popular pages may leave a host.
 */
export function unboundAtPeer(look: ClusterLook, budgetPages: number): number {
  let all = 0
  let found = 0
  const lonely: number[] = []
  for (let page = 0; page < look.contents.length; page++) {
    all += look.guestsOf[page]!
    if (look.hostsOf[page]! > 1) found += look.guestsOf[page]!
    else lonely.push(look.guestsOf[page]!)
  }
  lonely.sort((one, other) => other - one)
  for (const guests of lonely.slice(0, budgetPages * look.hosts)) found += guests
  return found / all
}
