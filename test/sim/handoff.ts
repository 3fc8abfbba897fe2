/**
 * Explores the conversation of a handoff: both ends' real steps, two model QEMUs, a network, other clients, an
 * operator, agents that die and come back, on virtual time.
 *
 *   npm run sim:handoff -- [--runs N] [--seed S] [--json] [--coverage]
 *
 * Standard error has the seed first. Run n has the seed S + n: `--runs 1 --seed` of a failure prints the trace of that
 * run. Exit status: 0 no guest lost, doubled or wedged, no wrong result, no setting left; 1 otherwise; 2 wrong usage.
 */
import { Command } from 'commander'

import { runWith } from '../support/commandline.ts'
import { formatCoverage, noVisits } from './handoff/coverage.ts'
import { explore, traceOf, type Exploration } from './handoff/explore.ts'
import { FAULTS } from './handoff/truth.ts'
import { whole } from './options.ts'

interface Flags {
  runs: number
  seed: number
  json?: true
  coverage?: true
}

const EXIT = { done: 0, failed: 1 } as const
/** Shorter runs need no progress. */
const PROGRESS_AFTER_MS = 2000

process.exitCode = await runWith(() => parseFlags(process.argv.slice(2)), main)

function main(flags: Flags): number {
  const { runs, seed } = flags
  process.stderr.write(`seed ${seed}\n`)
  const visits = noVisits()
  const found = explore({ runs, seed, visits, progress: progressLine(runs) })
  if (runs === 1) process.stderr.write(`${traceOf(seed).join('\n')}\n`)
  if (flags.coverage === true) process.stderr.write(formatCoverage(visits))
  process.stdout.write(`${flags.json === true ? JSON.stringify(found) : format(found)}\n`)
  return isGood(found) ? EXIT.done : EXIT.failed
}

function parseFlags(argv: readonly string[]): Flags {
  return new Command('npm run sim:handoff --')
    .description('Explores the conversation of a handoff on virtual time, with faults out of a seed.')
    .option('--runs <n>', 'runs', whole(1, 100_000_000), 10_000)
    .option('--seed <n>', 'seed of the first run', whole(0, 2 ** 32 - 1), 1)
    .option('--json', 'one JSON object on standard output, nothing else there')
    .option('--coverage', 'tells on standard error which steps were not seen')
    .allowExcessArguments(false)
    .exitOverride()
    .parse(argv, { from: 'user' }).opts<Flags>()
}

function progressLine(runs: number): (run: number, failures: number) => void {
  const begunAt = performance.now()
  let toldAt = begunAt
  return (run, failures) => {
    const now = performance.now()
    if (now - begunAt < PROGRESS_AFTER_MS || now - toldAt < PROGRESS_AFTER_MS) return
    toldAt = now
    const seconds = ((now - begunAt) / 1000).toFixed(0)
    process.stderr.write(`${seconds.padStart(5)} s  ${run} of ${runs} runs, ${failures} failed\n`)
  }
}

function isGood(found: Exploration): boolean {
  return FAULTS.every((fault) => found[fault] === 0)
}

function format(found: Exploration): string {
  const counts = FAULTS.map((fault) => `${found[fault]} ${fault}`).join(', ')
  return [
    `${found.runs} runs, ${found.states} pairs of states: ${counts}`,
    ...found.failures.map(({ seed, trace }) =>
      `seed ${seed}: ${trace.filter((line) => / truth /.test(line)).join('; ')}`),
  ].join('\n')
}
