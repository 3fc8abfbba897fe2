/**
 * `npm run compare`: Pagemesh beside QEMU's own ways of moving a guest, measured in one run on this machine. Progress
 * goes to standard error, the report's directory to standard output. Exit status: 0 done, 1 failed, 2 wrong usage, 130
 * cancelled. Processes, namespaces and files of the lab are removed however it ends.
 */
import { join } from 'node:path'

import { Command, CommanderError, Option } from 'commander'

import { describeError } from '../src/index.ts'
import { systemClock } from '../src/runtime/clock.ts'
import { planOf } from './compare/cells.ts'
import { findCircumstances } from './compare/circumstances.ts'
import { ComparisonLab } from './compare/lab.ts'
import { writeReport, writeResults } from './compare/report/write.ts'
import { isOurs } from './compare/results.ts'
import { runPlan } from './compare/run.ts'
import type { Measured } from './compare/sample.ts'
import { Progress } from './demo/progress.ts'
import { missingForLab } from './index.ts'
import { REPOSITORY } from './machine/image.ts'

interface Flags {
  quick?: true
  json?: string
  out: string
}

const EXIT = { done: 0, failed: 1, usage: 2, cancelled: 130 } as const
const CANCELLED = new Error('cancelled')

process.exit(await main())

async function main(): Promise<number> {
  const program = new Command('npm run compare --')
    .description('Moves real guests with Pagemesh and in QEMU\'s own ways (pre-copy, xbzrle, multifd, multifd with ' +
      'zstd, post-copy) over links of 100 Mbit/s, 1 Gbit/s and without a limit, and writes a report. Needs root; ' +
      'takes up to 45 minutes, with --quick up to 8.')
    .option('--quick', 'fewer cells, each measured once')
    .option('--json <file>', 'write the raw results there, too')
    .addOption(new Option('--out <directory>', 'where the report goes: report.html, report.md, plots, results.json')
      .default(join(REPOSITORY, '.cache', 'compare'), '.cache/compare of the checkout'))
    .allowExcessArguments(false)
    .exitOverride()
  try {
    return await compare(program.parse().opts<Flags>())
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.done : EXIT.usage
    if (error === CANCELLED) return EXIT.cancelled
    process.stderr.write(`compare: ${describeError(error)}\n`)
    return EXIT.failed
  }
}

async function compare({ quick, json, out }: Flags): Promise<number> {
  const missing = await missingForLab()
  if (missing !== undefined) {
    process.stderr.write(`The comparison needs ${missing}.\nRun it as root on Linux: sudo npm run compare\n`)
    return EXIT.failed
  }
  const progress = new Progress({ output: process.stderr, clock: systemClock })
  const abort = new AbortController()
  cancelOnSignal(progress, abort)
  const measured = await measureAll(quick === true, progress, abort.signal)
  await writeReport(out, measured)
  if (json !== undefined) await writeResults(json, measured)
  process.stdout.write(`${join(out, 'report.html')}\n`)
  // Guests that QEMU itself breaks are in the report; they do not fail the run.
  const isWhole = measured.samples.every(({ way, failure, loss }) => !isOurs(way) || (failure ?? loss) === undefined)
  return measured.samples.length > 0 && isWhole ? EXIT.done : EXIT.failed
}

async function measureAll(isQuick: boolean, progress: Progress, signal: AbortSignal): Promise<Measured> {
  const startedAt = systemClock.now()
  const circumstances = await findCircumstances(`npm run compare${isQuick ? ' -- --quick' : ''}`, systemClock)
  const creating = ComparisonLab.create(systemClock)
  const running = creating.then((lab) =>
    runPlan({ clock: systemClock, progress, lab }, { plan: planOf(isQuick), startedAt, signal }))
  const close = async (): Promise<void> => {
    // A failed creation cleans up after itself, and fails the run.
    const lab = await creating.catch(() => undefined)
    await lab?.close()
  }
  try {
    const result = await Promise.race([running, aborted(signal)])
    return { circumstances: { ...circumstances, seconds: (systemClock.now() - startedAt) / 1000 }, ...result }
  } finally {
    await progress.step('taking everything away again', async () => {
      await close()
      // A cancelled run fails at its next step, since the lab is gone; it removes what it made until then.
      await running.catch(() => undefined)
      await close()
    })
  }
}

/** Aborts at the first signal; further ones change nothing, because the clean-up takes only seconds. */
function cancelOnSignal(progress: Progress, abort: AbortController): void {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => {
      progress.say(`${signal}: stopping`)
      abort.abort(CANCELLED)
    })
  }
}

function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    if (signal.aborted) reject(signal.reason)
    else signal.addEventListener('abort', () => reject(signal.reason), { once: true })
  })
}
