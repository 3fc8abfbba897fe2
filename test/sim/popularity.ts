/**
 * Popularity in a simulated cluster: the real code on virtual time, compared with exact counting.
 *
 *   npm run sim -- [--hosts N] [--guests M] [--pages P] [--seed S] [--scenario faults|day] [--json]
 *
 * Scenario `faults`: all hosts start; a tenth crashes; a third is cut off for two intervals and comes back; a few new
 * hosts join. 5 % of the gossip and of the streams are lost all the time. After each fault the views of all live hosts
 * must come to agree with the count. Scenario `day`: churn, and no table may grow. The same seed prints the same.
 * Standard error has the seed first, then progress, and in the end time and memory.
 */
import { runWith, type Say } from '../support/commandline.ts'
import { DAY_INTERVALS, runDay } from './day.ts'
import { AGREEMENT_MIN, runFaults } from './faults.ts'
import { parseFlags, type SimFlags } from './options.ts'
import { formatDay, formatFaults } from './report.ts'
import { World } from './world.ts'

const EXIT = { done: 0, failed: 1 } as const

// Streams break by the hundred thousand, and recording each error's stack would take most of the time.
Error.stackTraceLimit = 0

process.exitCode = await runWith(() => parseFlags(process.argv.slice(2)), main)

async function main(flags: SimFlags, say: Say): Promise<number> {
  say(`seed ${flags.seed}: ${flags.hosts} hosts, ${flags.guests} guests each, ${flags.pages} pages each`)
  const { hosts, guests, pages, seed, maxPages, minHosts } = flags
  const world = new World({ hosts, guests, pages, seed, maxPages, minHosts, intervalMs: flags.interval * 1000 })
  const isGood = flags.scenario === 'day' ? await day(world, flags, say) : await faults(world, flags, say)
  const { user, system } = process.cpuUsage()
  const { maxRSS } = process.resourceUsage()
  const cpuSeconds = (user + system) / 1e6
  say(`${world.clock.eventCount} events, ${cpuSeconds.toFixed(1)} s of CPU, ${Math.round(maxRSS / 1024)} MiB`)
  return isGood ? EXIT.done : EXIT.failed
}

async function faults(world: World, flags: SimFlags, say: (line: string) => void): Promise<boolean> {
  const outcome = await runFaults(world, say)
  process.stdout.write(`${flags.json ? JSON.stringify(outcome) : formatFaults(outcome)}\n`)
  return outcome.convergedIntervals !== null && Math.min(outcome.recall, outcome.precision) >= AGREEMENT_MIN
}

async function day(world: World, flags: SimFlags, say: (line: string) => void): Promise<boolean> {
  const outcome = await runDay(world, flags.intervals ?? DAY_INTERVALS, say)
  process.stdout.write(`${flags.json ? JSON.stringify(outcome) : formatDay(outcome)}\n`)
  return outcome.grew.length === 0
}
