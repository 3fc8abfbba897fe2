/** How many guests and hosts hold each page, counted from the guests' memory by the test itself. */
import type { PopularPage } from '../../src/index.ts'
import { ID_BYTES, isZeroPage, PAGE_BYTES, type PageHasher } from '../../src/page/index.ts'
import type { LabGuest } from '../../testnet/index.ts'
import { openGuestMemory, residentRuns } from '../../testnet/machine/memory.ts'

/** The 64-bit prefix of the id of each page of a guest, block after block; 0 for absent and zero pages. */
export type Reading = BigUint64Array

/** How many guests and hosts hold a page. */
export interface PageCount {
  guests: number
  hosts: number
}

/** How far a host's view of popular pages agrees with exact counting, each share from 0 to 1. */
export interface Agreement {
  /** Share of the counted pages that the view has. */
  recall: number
  /** Share of the view's pages that were counted. */
  precision: number
  /** Share of the counted pages with the same guests and hosts in the view. */
  equalCounts: number
}

const STEP_PAGES = 1024

/** Reads all of a guest's memory; the guest stands still meanwhile. */
export async function readGuest(guest: LabGuest, hasher: PageHasher): Promise<Reading> {
  await using memory = await openGuestMemory(guest)
  const reading = new BigUint64Array(memory.blocks.reduce((sum, block) => sum + block.bytes / PAGE_BYTES, 0))
  const bytes = Buffer.alloc(STEP_PAGES * PAGE_BYTES)
  let firstOfBlock = 0
  await guest.qmp.execute('stop')
  try {
    for (const [index, block] of memory.blocks.entries()) {
      const pageCount = block.bytes / PAGE_BYTES
      for (let first = 0; first < pageCount; first += STEP_PAGES) {
        for (const run of await residentRuns(memory, index, first, Math.min(STEP_PAGES, pageCount - first))) {
          await memory.read(index, run.first, run.count, bytes.subarray(0, run.count * PAGE_BYTES))
          notePrefixes(reading.subarray(firstOfBlock + run.first), bytes, run.count, hasher)
        }
      }
      firstOfBlock += pageCount
    }
  } finally {
    await guest.qmp.execute('cont')
  }
  return reading
}

/** Prefixes of pages that were the same at both readings of a guest. */
export function stablePrefixes(before: Reading, after: Reading): Set<bigint> {
  const stable = new Set<bigint>()
  for (const [place, prefix] of after.entries()) if (prefix !== 0n && prefix === before[place]) stable.add(prefix)
  return stable
}

/** Counts the pages that at least `minHosts` hosts hold; `hosts` are the stable prefixes of each guest of each host. */
export function countPages(
  hosts: readonly (readonly ReadonlySet<bigint>[])[], minHosts: number,
): Map<bigint, PageCount> {
  const counts = new Map<bigint, PageCount>()
  for (const guests of hosts) {
    const seenHere = new Set<bigint>()
    for (const prefix of guests.flatMap((stable) => [...stable])) {
      const count = counts.get(prefix) ?? { guests: 0, hosts: 0 }
      count.guests += 1
      if (!seenHere.has(prefix)) count.hosts += 1
      seenHere.add(prefix)
      counts.set(prefix, count)
    }
  }
  for (const [prefix, { hosts: count }] of counts) if (count < minHosts) counts.delete(prefix)
  return counts
}

/** Compares all popular pages that a host knows with the count. */
export function agreement(counted: ReadonlyMap<bigint, PageCount>, view: readonly PopularPage[]): Agreement {
  let known = 0
  let equal = 0
  for (const { prefix, guests, hosts } of view) {
    const count = counted.get(BigInt(`0x${prefix}`))
    if (count === undefined) continue
    known += 1
    if (count.guests === guests && count.hosts === hosts) equal += 1
  }
  return { recall: known / counted.size, precision: known / view.length, equalCounts: equal / counted.size }
}

function notePrefixes(into: Reading, bytes: Buffer, pageCount: number, hasher: PageHasher): void {
  const ids = Buffer.alloc(pageCount * ID_BYTES)
  hasher.hashPages(bytes, 0, pageCount, ids, 0)
  for (let page = 0; page < pageCount; page++) {
    if (!isZeroPage(bytes, page * PAGE_BYTES)) into[page] = ids.readBigUInt64BE(page * ID_BYTES)
  }
}
