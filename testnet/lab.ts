/**
 * `npm run lab -- SCENARIO`: a scenario on hosts that are network namespaces of this machine, with real guests.
 * Progress goes to standard error, tables to standard output. Exit status: 0 all assertions hold, 1 not all, 2 wrong
 * usage, 130 cancelled. The lab is removed however it ends, at the latest when the next one starts.
 */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'

import { describeError } from '../src/index.ts'
import { systemClock } from '../src/runtime/clock.ts'
import { Progress } from './demo/progress.ts'
import { missingForLab } from './index.ts'
import { parseRequest, USAGE, type LabRequest } from './lab/arguments.ts'
import { deleteOrphanedDirectories } from './lab/leftovers.ts'
import { lastLines } from './lab/logs.ts'
import { renderList, renderRun, renderSummary } from './lab/report.ts'
import { runScenario, type RunOutcome } from './lab/runner.ts'
import { SCENARIOS } from './lab/scenarios/all.ts'
import { LabError } from './laberror.ts'
import { runCommand } from './machine/command.ts'

const EXIT = { done: 0, failed: 1, usage: 2, cancelled: 130 } as const

process.exitCode = await main()
// Output may still be on its way into a pipe, and would be lost.
await new Promise<void>((resolve) => process.stdout.write('', () => resolve()))
process.exit()

async function main(): Promise<number> {
  const cancelled = new AbortController()
  try {
    const request = parseRequest(process.argv.slice(2), SCENARIOS)
    if (request.kind === 'run') return await runAll(request, cancelled)
    const list = `Scenarios:\n${renderList(SCENARIOS)}\n`
    process.stdout.write(request.kind === 'help' ? `${USAGE}\n\n${list}` : `${list}\nnpm run lab -- SCENARIO\n`)
    return EXIT.done
  } catch (error) {
    if (cancelled.signal.aborted) return EXIT.cancelled
    process.stderr.write(`lab: ${describeError(error)}\n`)
    return error instanceof LabError && error.code === 'lab-bad-usage' ? EXIT.usage : EXIT.failed
  }
}

async function runAll(request: Extract<LabRequest, { kind: 'run' }>, cancelled: AbortController): Promise<number> {
  const missing = await missingAfterSetup()
  if (missing !== undefined) {
    process.stderr.write(`The lab needs ${missing}.\nRun it as root on Linux: sudo npm run lab\n`)
    return EXIT.failed
  }
  // Not a terminal: parallel steps would overwrite each other's lines.
  const progress = new Progress({ output: { write: (text) => process.stderr.write(text) }, clock: systemClock })
  cancelOnSignal(cancelled, progress)
  for (const path of deleteOrphanedDirectories()) progress.say(`${path}, of a run that was killed, is removed`)
  const { scenarios, jsonPath, logDirectory } = request
  const outcomes: RunOutcome[] = []
  for (const scenario of scenarios) {
    const outcome = await runScenario({ progress }, {
      scenario, signal: cancelled.signal, ...(logDirectory === undefined ? {} : { logDirectory }),
    })
    outcomes.push(outcome)
    process.stdout.write(`\n${scenario.name}: ${scenario.title}\n${renderRun(outcome)}\n`)
    if (!outcome.passed) process.stderr.write(`${lastLines(outcome.logs)}\n`)
    // After each scenario, so that a cancelled run keeps its results.
    if (jsonPath !== undefined) writeFileSync(jsonPath, `${JSON.stringify(outcomes.map(withoutLogs), undefined, 2)}\n`)
  }
  process.stdout.write(`\n${renderSummary(outcomes)}\n`)
  return outcomes.every(({ passed }) => passed) ? EXIT.done : EXIT.failed
}

/** Installs missing packages if allowed; returns what is still missing. */
async function missingAfterSetup(): Promise<string | undefined> {
  if (process.platform === 'linux' && process.getuid?.() === 0) {
    await runCommand(['bash', join(import.meta.dirname, 'setup.sh')], true)
  }
  return await missingForLab()
}

/** Aborts at the first signal; further ones change nothing: npm passes on signals that this process already got. */
function cancelOnSignal(cancelled: AbortController, progress: Progress): void {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => {
      progress.say(`${signal}: stopping`)
      cancelled.abort(new Error('cancelled'))
    })
  }
}

function withoutLogs({ logs: _, ...outcome }: RunOutcome): Omit<RunOutcome, 'logs'> {
  return outcome
}
