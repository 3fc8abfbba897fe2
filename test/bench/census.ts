/** The census: its memory per page that many guests share, and the speed of its scan relative to mere reading. */

import { PageCollector } from '../../src/census/collector.ts'
import { Found } from '../../src/census/found.ts'
import { scanGuest } from '../../src/census/scan.ts'
import { addStablePages } from '../../src/census/stablepages.ts'
import type { GuestMemory } from '../../src/guest/index.ts'
import { createPageHasher, PAGE_BYTES, PrefixRun } from '../../src/page/index.ts'
import { systemClock } from '../../src/runtime/clock.ts'
import { HoldFlag } from '../../src/runtime/holdflag.ts'
import { Throttle } from '../../src/runtime/throttle.ts'
import { madeScope } from '../support/madescopes.ts'
import { seededRandom } from '../support/random.ts'
import { createMaterial } from './material.ts'
import { heldBytes, measureInTurn, spreadOf, type Measured, type Spread } from './measure.ts'
import { placeInOwnMemory } from './ownmemory.ts'

export interface CensusBenchInit {
  /** Distinct pages of all guests of the host. */
  distinctPages: number
  /** Pages of the scanned guest. */
  pages: number
  rounds: number
  seed: number
}

export interface CensusBenchOutcome {
  guests: number
  distinctPages: number
  /** Pages of all guests, each counted in every guest that holds it. */
  heldPages: number
  /** Memory of the process, measured, per distinct page, bytes. */
  bytesPerDistinctPage: number
  /** The same by the census' own figures. */
  saidBytesPerDistinctPage: number
  /** Time to list the stable pages of one slice of 4096, ms. */
  sliceMs: Spread
  /** Reading alone first, then the scan; both through /proc, in this thread. */
  scan: Measured[]
}

const GUESTS = 20
/** Share of each guest's pages that all others hold too. */
const SHARED_SHARE = 0.5
const SLICES = 4096
/** Pages per read, as in the census. */
const READ_PAGES = 256

export async function runCensusBench(init: CensusBenchInit): Promise<CensusBenchOutcome> {
  return { ...await stateOf(init), scan: await scanBesideReading(init) }
}

async function stateOf({ distinctPages, seed }: CensusBenchInit): Promise<Omit<CensusBenchOutcome, 'scan'>> {
  const sharedPages = Math.round(distinctPages / (1 + GUESTS * (1 / SHARED_SHARE - 1)))
  const ownPages = Math.round((distinctPages - sharedPages) / GUESTS)
  const before = await heldBytes()
  const guests = Array.from({ length: GUESTS }, (_, guest) => madeGuest(guest, sharedPages, ownPages, seed))
  const bytes = await heldBytes() - before
  const run = new PrefixRun()
  const sliceMs: number[] = []
  let counted = 0
  for (let slice = 0; slice < SLICES; slice++) {
    run.clear()
    const begunAt = performance.now()
    addStablePages(guests, slice * 2 ** 20, (slice + 1) * 2 ** 20 - 1, run)
    sliceMs.push(performance.now() - begunAt)
    counted += run.count
  }
  const expected = sharedPages + GUESTS * ownPages
  if (counted !== expected) throw new Error(`the guests hold ${counted} pages and not ${expected}`)
  return {
    guests: GUESTS, distinctPages: counted, heldPages: guests.reduce((sum, guest) => sum + guest.distinctPages, 0),
    bytesPerDistinctPage: bytes / counted,
    saidBytesPerDistinctPage: guests.reduce((sum, guest) => sum + guest.bytes, 0) / counted,
    sliceMs: spreadOf(sliceMs),
  }
}

/** A guest after its second scan, with invented ids. */
function madeGuest(guest: number, sharedPages: number, ownPages: number, seed: number): Found {
  const pageCount = sharedPages + ownPages
  const memory: GuestMemory = {
    name: `guest-${guest}`, blocks: [{ name: 'ram', bytes: pageCount * PAGE_BYTES }],
    async resident() {}, async read() {}, async close() {},
  }
  const collector = new PageCollector(pageCount, pageCount, undefined)
  const shared = seededRandom(seed)
  const own = seededRandom(seed + 1 + guest)
  for (let number = 0; number < pageCount; number++) {
    const random = number < sharedPages ? shared : own
    collector.note(Math.floor(random() * 2 ** 32), Math.floor(random() * 2 ** 32), number)
  }
  const counts = { residentPages: pageCount, zeroPages: 0, omittedPages: 0 }
  return new Found(memory, { ...counts, isCompared: true, table: collector.finish() }, {
    scope: madeScope(), scans: 2, scannedAt: 0,
  })
}

async function scanBesideReading({ pages, rounds, seed }: CensusBenchInit): Promise<Measured[]> {
  const { memory, bytes } = placeInOwnMemory('scanned', createMaterial(pages, seed).held)
  const hasher = createPageHasher(new Uint8Array(32).fill(9))
  const throttle = new Throttle({ clock: systemClock }, { rate: Infinity })
  const components = { clock: systemClock, hasher, hold: new HoldFlag(), throttle }
  const { signal } = new AbortController()
  const scan = async (): Promise<void> => {
    const { residentPages } = await scanGuest(components, memory, { entriesMax: pages }, signal)
    if (residentPages * PAGE_BYTES !== bytes.length) throw new Error('the scan missed pages')
  }
  const sides = [
    { name: 'reading', bytes: bytes.length, prepare: async () => ({ run: () => readAll(memory) }) },
    { name: 'census scan', bytes: bytes.length, prepare: async () => ({ run: scan }) },
  ]
  try {
    return await measureInTurn(sides, rounds)
  } finally {
    await memory.close()
  }
}

/** Reads the same pieces as a scan, and does nothing with them. */
async function readAll(memory: GuestMemory): Promise<void> {
  const pageCount = memory.blocks[0]!.bytes / PAGE_BYTES
  const room = Buffer.alloc(READ_PAGES * PAGE_BYTES)
  for (let page = 0; page < pageCount; page += READ_PAGES) {
    const count = Math.min(READ_PAGES, pageCount - page)
    await memory.read(0, page, count, room)
  }
}

export function formatCensus(outcome: CensusBenchOutcome): string {
  const { guests, distinctPages, heldPages, sliceMs, scan } = outcome
  const rate = scan[1]!
  return [
    `The census of ${guests} guests with ${(distinctPages / 1e6).toPrecision(2)} million different pages, half of ` +
      `each guest's in all others too (${(heldPages / distinctPages).toFixed(1)} guests a page):`,
    `  memory           ${outcome.bytesPerDistinctPage.toFixed(1)} bytes a distinct page; the census says ` +
      outcome.saidBytesPerDistinctPage.toFixed(1),
    `  stable pages     ${sliceMs.median.toFixed(2)} ms for one slice of ${SLICES} ` +
      `(${sliceMs.min.toFixed(2)} to ${sliceMs.max.toFixed(2)})`,
    `  scanned          ${(rate.bytesPerSecond.median / PAGE_BYTES / 1000).toFixed(0)} thousand pages a second and ` +
      `core, ${rate.ratio.median.toFixed(2)}x the rate of reading them alone ` +
      `(${rate.ratio.min.toFixed(2)} to ${rate.ratio.max.toFixed(2)})`,
  ].join('\n')
}
