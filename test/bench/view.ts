/**
 * The view of popular pages: memory per page, lookups relative to a hash table of the same prefixes, and the list of
 * the most popular pages relative to a plain pass over all counts.
 */
import { PrefixTable } from '../../src/page/index.ts'
import { HOLDERS_MAX, PopularRun } from '../../src/popularity/popularrun.ts'
import { highOf, lowOf, SLICE_COUNT } from '../../src/popularity/slice.ts'
import { View } from '../../src/popularity/view/view.ts'
import { seededRandom } from '../support/random.ts'
import { measureInTurn, type Measured, type Side, type Spread } from './measure.ts'

/** Most pages looked up in one run. */
const LOOKUPS_MAX = 200_000
const TOP_PAGES = 1000
/** Hosts that the pages name. */
const HOSTS = 1000

export interface ViewInit {
  /** Pages in the view. */
  viewPages: number
  rounds: number
  seed: number
}

export interface ViewOutcome {
  pages: number
  bytesPerPage: number
  /** Lookups a second, and relative to the hash table. */
  hit: { perSecond: number; ratio: Spread }
  miss: { perSecond: number; ratio: Spread }
  /** Bytes per entry of that hash table. */
  hashBytesPerPage: number
  /** Milliseconds per list, and the number of plain passes in that time. */
  top: { listed: number; ms: number; passes: Spread }
}

/** Prefixes to look up, in halves. */
interface Wanted {
  high: Uint32Array
  low: Uint32Array
}

export async function runViewBench({ viewPages, rounds, seed }: ViewInit): Promise<ViewOutcome> {
  const random = seededRandom(seed)
  const { view, table, known } = fill(viewPages, random)
  const unknown: Wanted = {
    high: known.high.map(() => random() * 2 ** 32), low: known.low.map(() => random() * 2 ** 32),
  }
  const lookups = known.high.length
  const inTable = (wanted: Wanted) => (): number => countFound(wanted, (high, low) => table.get(high, low) >= 0)
  const inView = (wanted: Wanted) => (): number => countFound(wanted, (high, low) => view.guestsOf(high, low) > 0)
  const hits = await measureInTurn([
    side('hash', lookups, inTable(known)), side('view', lookups, inView(known)),
  ], rounds)
  const misses = await measureInTurn([
    side('hash', lookups, inTable(unknown)), side('view', lookups, inView(unknown)),
  ], rounds)
  const counts = { guests: new Uint16Array(viewPages).fill(7), hosts: new Uint16Array(viewPages).fill(3) }
  const tops = await measureInTurn([
    side('list', 1, () => view.top(TOP_PAGES).count), side('pass', 1, () => passOver(counts.hosts, counts.guests)),
  ], rounds)
  return {
    pages: view.pages,
    bytesPerPage: view.bytes / view.pages,
    hit: rateOf(hits),
    miss: rateOf(misses),
    hashBytesPerPage: table.bytes / table.size,
    top: { listed: TOP_PAGES, ms: 1000 / tops[0]!.bytesPerSecond.median, passes: tops[1]!.ratio },
  }
}

/** The part of the report for people. Pure. */
export function formatView({ pages, bytesPerPage, hashBytesPerPage, hit, miss, top }: ViewOutcome): string {
  const rate = ({ perSecond, ratio }: ViewOutcome['hit']): string =>
    `${(perSecond / 1e6).toFixed(2)} million a second, ${spread(ratio)} of a hash table's`
  return [
    `View of popular pages, ${(pages / 1e6).toFixed(2)} million of them:`,
    `  memory           ${bytesPerPage.toFixed(1)} bytes a page, counts and three holders each; a hash table ` +
      `with one number each has ${hashBytesPerPage.toFixed(1)}`,
    `  found            ${rate(hit)}`,
    `  not found        ${rate(miss)}`,
    `  top ${top.listed}         ${top.ms.toFixed(1)} ms, ${spread(top.passes)} of the time of a plain pass`,
  ].join('\n')
}

function spread({ median, min, max }: Spread): string {
  return `${median.toFixed(2)}x (${min.toFixed(2)} to ${max.toFixed(2)})`
}

/** A run is `pieces` pieces of work: rates count these instead of bytes. */
function side(name: string, pieces: number, run: () => number): Side {
  return { name, bytes: pieces, prepare: async () => ({ run }) }
}

function rateOf([, view]: Measured[]): ViewOutcome['hit'] {
  return { perSecond: view!.bytesPerSecond.median, ratio: view!.ratio }
}

function countFound({ high, low }: Wanted, isThere: (high: number, low: number) => boolean): number {
  let found = 0
  for (let i = 0; i < high.length; i++) if (isThere(high[i]!, low[i]!)) found += 1
  return found
}

function passOver(hosts: Uint16Array, guests: Uint16Array): number {
  let sum = 0
  for (let i = 0; i < hosts.length; i++) sum = (sum + hosts[i]! * 2 ** 16 + guests[i]!) >>> 0
  return sum
}

/** A view of `pages` random pages, few of them on many hosts, a table of the same, and some of them in random order. */
function fill(pages: number, random: () => number): { view: View; table: PrefixTable; known: Wanted } {
  const view = new View({ maxPages: 2 * pages, nameOfTag: (tag) => `host-${tag}` })
  const table = new PrefixTable(pages)
  const lookups = Math.min(LOOKUPS_MAX, pages)
  const known: Wanted = { high: new Uint32Array(lookups), low: new Uint32Array(lookups) }
  const run = new PopularRun()
  let number = 0
  for (let slice = 0; slice < SLICE_COUNT; slice++) {
    const count = Math.round((pages * (slice + 1)) / SLICE_COUNT) - number
    const rests = Float64Array.from({ length: count }, () => Math.floor(random() * 2 ** 20) * 2 ** 32 +
      Math.floor(random() * 2 ** 32)).sort()
    run.clear()
    for (const rest of rests) {
      const hosts = 2 + Math.floor(HOSTS * random() ** 20)
      const index = run.push(rest, hosts + Math.floor(hosts * random()), hosts)
      for (let i = 0; i < HOLDERS_MAX; i++) run.holders[index * HOLDERS_MAX + i] = 1 + Math.floor(random() * HOSTS)
      table.add(highOf(slice, rest), lowOf(rest), number)
      // A random sample: later pages replace earlier ones ever more rarely.
      const place = number < lookups ? number : Math.floor(random() * number)
      if (place < lookups) {
        known.high[place] = highOf(slice, rest)
        known.low[place] = lowOf(rest)
      }
      number += 1
    }
    view.replaceSlice(slice, run)
  }
  return { view, table, known: inAnyOrder(known, random) }
}

function inAnyOrder({ high, low }: Wanted, random: () => number): Wanted {
  const order = Float64Array.from(high, (_, index) => Math.floor(random() * 2 ** 30) * 2 ** 22 + index).sort()
  const places = Array.from(order, (key) => key % 2 ** 22)
  return {
    high: Uint32Array.from(places, (place) => high[place]!), low: Uint32Array.from(places, (place) => low[place]!),
  }
}
