import { createPageHasher, ID_BYTES, isZeroPage, PAGE_BYTES, type PageHasher } from '../../src/page/index.ts'
import { openGuestMemory, residentRuns } from './memory.ts'
import type { LabGuest } from './qemu.ts'

/** The contents of a guest's memory, in pages. */
export interface GuestMeasure {
  name: string
  residentPages: number
  /** Resident pages full of zeros. */
  zeroPages: number
  /** Distinct contents among the others. */
  distinctPages: number
  /** For every other guest: how many of this guest's non-zero pages it also holds. */
  commonPages: Record<string, number>
}

const STEP_PAGES = 1024
/** Ids stay inside the measurement, so any key will do. */
const MEASURE_KEY = new Uint8Array(32)

/** Counts the guests' pages and what they have in common. If the guests run meanwhile, the counts are approximate. */
export async function measureGuests(guests: readonly LabGuest[]): Promise<GuestMeasure[]> {
  const hasher = createPageHasher(MEASURE_KEY)
  const contents: GuestContents[] = []
  for (const guest of guests) contents.push(await readContents(guest, hasher))
  return contents.map((own) => ({
    name: own.name,
    residentPages: own.residentPages,
    zeroPages: own.zeroPages,
    distinctPages: own.pages.size,
    commonPages: Object.fromEntries(contents.filter((other) => other !== own)
      .map((other) => [other.name, commonPages(own, other)])),
  }))
}

/** One line a guest: `web: 258 MiB resident, 231 non-zero, 208 distinct, common with database 65 %`. */
export function describeMeasure(measure: GuestMeasure): string {
  const nonZero = measure.residentPages - measure.zeroPages
  const common = Object.entries(measure.commonPages)
    .map(([name, pages]) => `, common with ${name} ${Math.round(100 * pages / nonZero)} %`)
  return `${measure.name}: ${mebibytes(measure.residentPages)} MiB resident, ${mebibytes(nonZero)} non-zero, ` +
    `${mebibytes(measure.distinctPages)} distinct${common.join('')}`
}

interface GuestContents {
  name: string
  residentPages: number
  zeroPages: number
  /** 53 bits of a page's id -> how often the guest holds it. */
  pages: Map<number, number>
}

async function readContents(guest: LabGuest, hasher: PageHasher): Promise<GuestContents> {
  await using memory = await openGuestMemory(guest)
  const contents: GuestContents = { name: guest.name, residentPages: 0, zeroPages: 0, pages: new Map() }
  const bytes = Buffer.alloc(STEP_PAGES * PAGE_BYTES)
  for (const [index, block] of memory.blocks.entries()) {
    const pageCount = block.bytes / PAGE_BYTES
    for (let first = 0; first < pageCount; first += STEP_PAGES) {
      for (const run of await residentRuns(memory, index, first, Math.min(STEP_PAGES, pageCount - first))) {
        await memory.read(index, run.first, run.count, bytes.subarray(0, run.count * PAGE_BYTES))
        count(contents, bytes, run.count, hasher)
      }
    }
  }
  return contents
}

function count(contents: GuestContents, bytes: Buffer, pageCount: number, hasher: PageHasher): void {
  const ids = new Uint8Array(pageCount * ID_BYTES)
  hasher.hashPages(bytes, 0, pageCount, ids, 0)
  const view = new DataView(ids.buffer)
  contents.residentPages += pageCount
  for (let page = 0; page < pageCount; page++) {
    if (isZeroPage(bytes, page * PAGE_BYTES)) {
      contents.zeroPages += 1
      continue
    }
    const key = (view.getUint32(page * ID_BYTES) >>> 11) * 2 ** 32 + view.getUint32(page * ID_BYTES + 4)
    contents.pages.set(key, (contents.pages.get(key) ?? 0) + 1)
  }
}

function commonPages(own: GuestContents, other: GuestContents): number {
  let pages = 0
  for (const [key, copies] of own.pages) if (other.pages.has(key)) pages += copies
  return pages
}

function mebibytes(pages: number): number {
  return Math.round(pages * PAGE_BYTES / 2 ** 20)
}
