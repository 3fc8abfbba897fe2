/** The faults scenario: start, crashes, a partition that heals, late hosts, and a quiet phase. */
import type { HostBytes, SimHost } from './host.ts'
import { bytesPerInterval, type Measure, type Sizes, type World, type WorldInit } from './world.ts'

/** The least recall and precision of every live host's view. */
export const AGREEMENT_MIN = 0.97
/** Intervals after a fault within which it must be reached. */
export const CONVERGE_WITHIN = 3
/** Most intervals of a phase; it ends earlier once the views agree. */
const PHASE_MAX = 10
const MEASURES_PER_INTERVAL = 4
/** With many hosts, exact counting takes longer than the simulation: it is done half as often. */
const MANY_HOSTS = 300
const CRASHED_SHARE = 0.1
const PARTITIONED_SHARE = 1 / 3
const PARTITION_INTERVALS = 2
const QUIET_INTERVALS = 4
const LATE_HOSTS_MAX = 5
const LATE_LOOK_MS = 1_000

export interface PhaseOutcome {
  name: string
  /** Hosts that the fault hit. */
  struck: number
  /** Intervals from the fault until all views agreed for the rest of the phase; null: they did not. */
  convergedIntervals: number | null
  /** Taken three intervals after the fault. */
  measure: Measure
  /** The worst host's, one interval after the fault, two, and so on to the end of the phase. */
  recalls: number[]
}

export interface FaultsOutcome extends WorldInit {
  scenario: 'faults'
  /** The worst live host's, in any measurement from three intervals after the last fault on. */
  recall: number
  precision: number
  /** The most intervals that any phase took; null: one did not converge. */
  convergedIntervals: number | null
  /** Mean bytes of a host in one quiet interval. */
  perHostBytes: HostBytes
  bytes: { quiet: { mean: HostBytes; max: HostBytes }; wholeRun: { mean: HostBytes; max: HostBytes } }
  phases: PhaseOutcome[]
  /** Seconds from a late host's start until its view agreed, worst and mean; null: one did not within the phase. */
  lateHostSeconds: { worst: number; mean: number } | null
  quiet: Measure
  intervals: number
  sizes: Sizes
  refusals: Record<string, number>
  streams: number
  gossipDeliveries: number
}

export async function runFaults(world: World, say: (line: string) => void): Promise<FaultsOutcome> {
  const phases: PhaseOutcome[] = []
  const run = async (name: string, struck: number): Promise<void> => {
    const outcome = await watchPhase(world, name, struck)
    phases.push(outcome)
    say(describePhase(outcome))
  }
  world.startAll()
  await run('start', world.hosts.length)
  await run('crash', crashSome(world))
  const separated = partition(world)
  await world.pass(PARTITION_INTERVALS)
  world.network.heal()
  await run('heal', separated)
  const late = joinLate(world)
  await run('join', late.count)
  const before = world.bytes()
  const measures: Measure[] = [phases.at(-1)!.measure]
  for (let i = 0; i < QUIET_INTERVALS; i++) {
    await world.pass(1)
    measures.push(world.measure())
  }
  const intervals = world.clock.now() / world.init.intervalMs
  const quiet = bytesPerInterval(before, world.bytes(), QUIET_INTERVALS)
  const lateSeconds = late.seconds()
  const outcome: FaultsOutcome = {
    scenario: 'faults', ...world.init,
    recall: Math.min(...measures.map(({ recall }) => recall.worst)),
    precision: Math.min(...measures.map(({ precision }) => precision.worst)),
    convergedIntervals: mostOf(phases.map((phase) => phase.convergedIntervals)),
    perHostBytes: quiet.mean,
    bytes: { quiet, wholeRun: bytesPerInterval(new Map(), world.bytes(), intervals) },
    phases, lateHostSeconds: lateSeconds, quiet: measures.at(-1)!, intervals,
    sizes: world.sizes(), refusals: world.refusals(),
    streams: world.network.openCount, gossipDeliveries: world.network.deliveryCount,
  }
  await world.end()
  return outcome
}

/** Measures until all views have agreed for an interval, at least until CONVERGE_WITHIN. */
async function watchPhase(world: World, name: string, struck: number): Promise<PhaseOutcome> {
  let agreedSince: number | null = null
  let atLimit: Measure | undefined
  const recalls: number[] = []
  const perInterval = world.init.hosts > MANY_HOSTS ? MEASURES_PER_INTERVAL / 2 : MEASURES_PER_INTERVAL
  for (let step = 1; step <= PHASE_MAX * perInterval; step++) {
    await world.pass(1 / perInterval)
    const measure = world.measure()
    const intervals = step / perInterval
    if (!agrees(measure)) agreedSince = null
    else agreedSince ??= intervals
    if (Number.isInteger(intervals)) recalls.push(measure.recall.worst)
    if (intervals === CONVERGE_WITHIN) atLimit = measure
    if (atLimit !== undefined && agreedSince !== null && intervals - agreedSince >= 1) break
  }
  return { name, struck, convergedIntervals: agreedSince, measure: atLimit!, recalls }
}

export function agrees({ recall, precision }: Measure): boolean {
  return recall.worst >= AGREEMENT_MIN && precision.worst >= AGREEMENT_MIN
}

export function describePhase({ name, struck, convergedIntervals, measure }: PhaseOutcome): string {
  const when = convergedIntervals === null ? 'did not converge' : `converged after ${convergedIntervals} intervals`
  return `${name} (${struck} hosts): ${when}; after ${CONVERGE_WITHIN}: recall ${measure.recall.worst.toFixed(4)}, ` +
    `precision ${measure.precision.worst.toFixed(4)} on the worst host, ${measure.popularPages} pages`
}

/** Crashes a tenth of the hosts, at random moments of one interval; returns how many. */
function crashSome(world: World): number {
  const struck = pick(world, Math.max(1, Math.round(world.live.length * CRASHED_SHARE)))
  for (const host of struck) world.later(world.chance.below(1000), () => host.crash())
  return struck.length
}

/** Cuts a third of the hosts off; returns how many. */
function partition(world: World): number {
  const struck = pick(world, Math.round(world.live.length * PARTITIONED_SHARE))
  world.network.partition(new Set(struck.map(({ name }) => name)))
  return struck.length
}

/** Starts a few new hosts, and checks every second whether their views agree with the count at their start. */
function joinLate(world: World): { count: number; seconds: () => { worst: number; mean: number } | null } {
  const count = Math.min(LATE_HOSTS_MAX, Math.max(1, Math.round(world.live.length / 50)))
  const exact = world.count()
  const waited: number[] = []
  for (let i = 0; i < count; i++) {
    const host = world.addHost()
    world.later(0, () => host.start())
    const startedAt = world.clock.now()
    const timer = world.clock.every(LATE_LOOK_MS, () => {
      const { recall, precision } = exact.compare(host.popularity!.view, world.init.maxPages)
      const seconds = (world.clock.now() - startedAt) / 1000
      if (recall >= AGREEMENT_MIN && precision >= AGREEMENT_MIN) waited.push(seconds)
      else if (seconds * 1000 < PHASE_MAX * world.init.intervalMs) return
      timer.cancel()
    })
  }
  const seconds = (): { worst: number; mean: number } | null => waited.length < count ? null
    : { worst: Math.max(...waited), mean: waited.reduce((sum, value) => sum + value, 0) / count }
  return { count, seconds }
}

function pick(world: World, count: number): SimHost[] {
  const candidates = world.live
  return Array.from({ length: count }, () => candidates.splice(world.chance.below(candidates.length), 1)[0]!)
}

function mostOf(values: readonly (number | null)[]): number | null {
  return values.includes(null) ? null : Math.max(...values as number[])
}
