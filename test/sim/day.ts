/** The day scenario: guests come, go, move and reboot, hosts restart and crash, for a day; and no table grows. */
import type { SyntheticGuest } from '../../peers/model.ts'
import { addCounts, type SimHost } from './host.ts'
import type { Measure, Sizes, World, WorldInit } from './world.ts'

export const DAY_INTERVALS = 1440

/** Chances of an event for a guest, or for a host, in one interval. */
const RATES = {
  /** A guest vanishes, and a new one appears somewhere. */
  guestReplaced: 1 / 240,
  guestMoves: 1 / 240,
  guestReboots: 1 / 480,
  hostRestarts: 1 / 360,
  hostCrashes: 1 / 720,
}
/** The least and the most intervals that a host is down. */
const DOWN_INTERVALS = { least: 0.2, most: 4 }
/** How far the median of a table may rise from the first quarter to the last, relative to what it must keep. */
const GROWTH_MAX = 1.1
/**
 * What a table's size is proportional to: pages that live hosts hold, popular pages times live hosts, or live hosts.
 */
const FOLLOWS: Record<string, 'held' | 'popular' | 'hosts'> = {
  reportedPages: 'held', viewPages: 'popular', publishedPages: 'popular',
}
/** Tables fill during this time. */
const WARM_UP_INTERVALS = 10

export interface DayOutcome extends WorldInit {
  scenario: 'day'
  intervals: number
  /** Mean over all hosts and intervals, during the churn; hosts that have just started count too. */
  recall: number
  precision: number
  events: Record<string, number>
  /**
   * Median size of each table over a quarter, all hosts together; `growth` is the last over the first, each divided by
   * what there was to keep.
   */
  tables: Record<string, { firstQuarter: number; lastQuarter: number; growth: number }>
  /** Tables that grew. */
  grew: string[]
  refusals: Record<string, number>
}

export async function runDay(world: World, intervals: number, say: (line: string) => void): Promise<DayOutcome> {
  world.startAll()
  await world.pass(WARM_UP_INTERVALS)
  const events: Record<string, number> = {}
  const samples: Sample[] = []
  const measures: Measure[] = []
  for (let interval = 0; interval < intervals; interval++) {
    churn(world, events)
    await world.pass(1)
    const measure = world.measure()
    measures.push(measure)
    const hosts = world.live.length
    const held = world.live.reduce((sum, host) => sum + host.held.contents.length, 0)
    samples.push({
      sizes: { ...world.sizes(), pendingEvents: world.clock.pendingCount, openStreams: world.network.openStreams },
      toKeep: { held, popular: measure.popularPages * hosts, hosts },
    })
    if ((interval + 1) % Math.ceil(intervals / 8) === 0) {
      say(`${interval + 1} intervals: ${JSON.stringify(samples.at(-1)!.sizes)}`)
    }
  }
  const tables = compareQuarters(samples)
  const outcome: DayOutcome = {
    scenario: 'day', ...world.init, intervals,
    recall: mean(measures.map(({ recall }) => recall.mean)),
    precision: mean(measures.map(({ precision }) => precision.mean)),
    events, tables, grew: Object.keys(tables).filter((name) => tables[name]!.growth > GROWTH_MAX),
    refusals: world.refusals(),
  }
  await world.end()
  return outcome
}

interface Sample {
  sizes: Sizes
  toKeep: Record<'held' | 'popular' | 'hosts', number>
}

/** Draws the events of the coming interval, and their times. */
function churn(world: World, events: Record<string, number>): void {
  const { chance, init } = world
  const soon = (what: string, run: () => Promise<void> | void): void => {
    addCounts(events, { [what]: 1 })
    world.later(chance.fraction() * init.intervalMs, run)
  }
  for (const host of world.live) {
    if (chance.happens(RATES.hostRestarts)) soon('hostRestarts', () => bounce(world, host, () => host.stop()))
    else if (chance.happens(RATES.hostCrashes)) soon('hostCrashes', () => bounce(world, host, () => host.crash()))
    for (const guest of host.guests.keys()) {
      if (chance.happens(RATES.guestReplaced)) soon('guestReplaced', () => replace(world, host, guest))
      else if (chance.happens(RATES.guestMoves)) soon('guestMoves', () => move(world, host, guest))
      else if (chance.happens(RATES.guestReboots)) soon('guestReboots', () => guest.reboot())
    }
  }
}

/** Ends a host's life, and begins another after a while. */
async function bounce(world: World, host: SimHost, end: () => Promise<void>): Promise<void> {
  if (!host.isAlive) return
  const downMs = world.chance.between(DOWN_INTERVALS.least, DOWN_INTERVALS.most) * world.init.intervalMs
  world.later(downMs, () => host.start())
  await end()
}

function replace(world: World, host: SimHost, guest: SyntheticGuest): void {
  if (!host.removeGuest(guest)) return
  world.addGuest(world.hosts[world.chance.below(world.hosts.length)]!)
}

function move(world: World, host: SimHost, guest: SyntheticGuest): void {
  if (host.removeGuest(guest)) world.hosts[world.chance.below(world.hosts.length)]!.addGuest(guest)
}

function compareQuarters(samples: readonly Sample[]): DayOutcome['tables'] {
  const quarter = Math.floor(samples.length / 4)
  const [first, last] = [samples.slice(0, quarter), samples.slice(-quarter)]
  const tables: DayOutcome['tables'] = {}
  for (const name of Object.keys(samples[0]!.sizes)) {
    // Medians: while a host is down it keeps nothing, and others still keep its report.
    const sizeIn = (part: readonly Sample[]): number => median(part.map(({ sizes }) => sizes[name]!))
    const shareIn = (part: readonly Sample[]): number =>
      median(part.map(({ sizes, toKeep }) => sizes[name]! / Math.max(1, toKeep[FOLLOWS[name] ?? 'hosts'])))
    const before = shareIn(first)
    tables[name] = {
      firstQuarter: sizeIn(first), lastQuarter: sizeIn(last), growth: before === 0 ? 1 : shareIn(last) / before,
    }
  }
  return tables
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((one, other) => one - other)
  return sorted[Math.floor(sorted.length / 2)]!
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length
}
