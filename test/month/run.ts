/** The days of the month: on each, handoffs, joins and strangers at once; at night everything is measured at rest. */
import { monitorEventLoopDelay } from 'node:perf_hooks'

import { HOSTS } from './hosts.ts'
import type { MonthLab } from './lab.ts'
import { faultsOf, lagOf, slopesOf, type Days, type Slope } from './verdict.ts'

export interface MonthInit {
  seed: number
  guests: 'real' | 'played'
  handoffs: number
  joins: number
  strangers: number
  /** Days that they are spread over. */
  days: number
  say: (line: string) => void
  signal?: AbortSignal
}

export interface MonthReport {
  seed: number
  guests: 'real' | 'played'
  handoffs: number
  joins: number
  strangers: Record<string, number>
  /** Times that the guest stood still on its way, and its memory was found equal. */
  compared: number
  handoffMs: { median: number; highest: number }
  joinMsMax: number
  lag: { medianMs: number; highestMs: number }
  /** The same of a process that does nothing but look at the clock, on the same machine at the same time. */
  idleLag: { medianMs: number; highestMs: number }
  slopes: Slope[]
  failures: string[]
  days: Days
}

const IDLE_RESOLUTION_MS = 10

export async function runMonth(lab: MonthLab, init: MonthInit): Promise<MonthReport> {
  const { seed, guests, handoffs, joins, strangers, days, say, signal } = init
  const report: MonthReport = {
    seed, guests, handoffs: 0, joins: 0, strangers: {}, compared: 0, handoffMs: { median: 0, highest: 0 }, joinMsMax: 0,
    lag: { medianMs: 0, highestMs: 0 }, idleLag: { medianMs: 0, highestMs: 0 }, slopes: [], failures: [],
    days: Object.fromEntries(HOSTS.map((host) => [host, []])),
  }
  const times: number[] = []
  const idle: number[] = []
  const delays = monitorEventLoopDelay({ resolution: IDLE_RESOLUTION_MS })
  for (let day = 0; day < days && signal?.aborted !== true; day++) {
    // The figures of the night before are not of this day.
    await lab.figures()
    delays.reset()
    delays.enable()
    const [took, joinMs, came] = await Promise.all([
      lab.handoffs(shareOf(handoffs, day, days), report.handoffs), lab.joins(shareOf(joins, day, days)),
      lab.strangers(shareOf(strangers, day, days)),
    ])
    delays.disable()
    idle.push(Math.max(0, delays.percentile(99) / 1e6 - IDLE_RESOLUTION_MS))
    const busy = await lab.figures()
    await lab.hosts.compare(report.handoffs + took.length)
    await lab.rest()
    const still = await lab.figures()
    for (const host of HOSTS) {
      const { lagP99Ms, lagMaxMs } = busy[host]!
      report.days[host]!.push({ ...still[host]!, lagP99Ms, lagMaxMs })
    }
    times.push(...took)
    report.handoffs += took.length + 1
    report.joins += shareOf(joins, day, days)
    report.compared += 1
    report.joinMsMax = Math.max(report.joinMsMax, joinMs)
    for (const [kind, count] of Object.entries(came)) report.strangers[kind] = (report.strangers[kind] ?? 0) + count
    say(`day ${day + 1} of ${days}: ${describe(report.days)}`)
  }
  return { ...report, ...conclude(report.days, times, idle) }
}

function conclude(
  days: Days, times: readonly number[], idle: readonly number[],
): Pick<MonthReport, 'failures' | 'handoffMs' | 'idleLag' | 'lag' | 'slopes'> {
  const [ordered, idleOrdered] = [times, idle].map((list) => [...list].sort((left, right) => left - right))
  return {
    handoffMs: { median: middleOf(ordered!), highest: ordered!.at(-1) ?? 0 },
    lag: lagOf(days), idleLag: { medianMs: middleOf(idleOrdered!), highestMs: idleOrdered!.at(-1) ?? 0 },
    slopes: slopesOf(days), failures: faultsOf(days),
  }
}

/** How many of `total` fall on a day: all days together have all of them. Pure. */
export function shareOf(total: number, day: number, days: number): number {
  return Math.floor(total * (day + 1) / days) - Math.floor(total * day / days)
}

function middleOf(ordered: readonly number[]): number {
  return ordered[Math.floor(ordered.length / 2)] ?? 0
}

function describe(days: Days): string {
  return Object.entries(days).map(([host, figures]) => {
    const { heapBytes, descriptors, sockets, timers, threads, lagP99Ms } = figures.at(-1)!
    return `${host} ${(heapBytes / 2 ** 20).toFixed(1)} MiB, ${descriptors} descriptors, ${sockets} sockets, ` +
      `${timers} timers, ${threads} threads, lag ${lagP99Ms.toFixed(0)} ms`
  }).join('; ')
}
