import { describeError } from '../../src/index.ts'
import type { Clock } from '../../src/runtime/clock.ts'
import type { Progress } from '../demo/progress.ts'
import { WAY_TITLES, type Cell, type Plan, type Step } from './cells.ts'
import type { ComparisonLab } from './lab.ts'
import { measure } from './move.ts'
import { describeCell, describeSample } from './report/words.ts'
import { failedSample, type Beforehand, type Sample } from './sample.ts'

/** Time of a measurement besides the move, s: starting QEMU, watching before and after, settling. */
const STEP_SECONDS = 12
/** Longest time of a move, s: by QEMU on the slowest link, and in any way on the others. */
const MOVE_SECONDS = { slow: 30, fast: 5 }
/** Guests that leave together must be booted first, s. */
const BOOT_SECONDS = 150
/** Agents with a new configuration restart and relearn the popular pages, s. */
const RESTART_SECONDS = 50

/** After this many failures in a row the run stops: a guest or an agent is gone. */
const FAILURES_MAX = 3

export interface RunComponents {
  clock: Clock
  progress: Progress
  lab: ComparisonLab
}

export interface RunInit {
  plan: Plan
  /** When the command began, ms of the clock. */
  startedAt: number
  /** After its abort, the next failure ends the run. */
  signal: AbortSignal
}

export interface RunResult {
  samples: Sample[]
  beforehand: Beforehand
  /** Measurements of the first round that were omitted. */
  omitted: number
}

/**
 * Boots everything, follows the plan while there is time, and resolves to the results, failures included. The caller
 * closes `lab`. Rejects if the guests or agents do not start, or the signal aborts.
 */
export async function runPlan(components: RunComponents, { plan, startedAt, signal }: RunInit): Promise<RunResult> {
  const { clock, progress, lab } = components
  await progress.step('booting two guests that move and two that stay', () => lab.boot())
  await progress.step('agents count what the guests hold, and c fetches what is common', () => lab.startAgents())
  const beforehand = await lab.beforehand()
  const samples: Sample[] = []
  let failures = 0
  let last: Step | undefined
  for (const [index, step] of plan.steps.entries()) {
    const secondsLeft = plan.secondsMax - (clock.now() - startedAt) / 1000
    if (secondsOf(step, last) > secondsLeft || failures === FAILURES_MAX) continue
    if (step.cell.count === 1) await lab.endMore()
    const sample = await measureOrSay(components, step, `${index + 1}/${plan.steps.length}`, signal)
    failures = sample.failure === undefined ? 0 : failures + 1
    samples.push(sample)
    last = step
  }
  const planned = plan.steps.filter(({ round }) => round === 1).length
  return { samples, beforehand, omitted: planned - samples.filter(({ round }) => round === 1).length }
}

/** One measurement. A failure is its result, unless the run was cancelled. */
async function measureOrSay(
  { progress, lab }: RunComponents, step: Step, number: string, signal: AbortSignal,
): Promise<Sample> {
  const title = `${number}: ${describeCell(step.cell)}, ${WAY_TITLES[step.way]}`
  const sample = await progress.step(title, () => measure(lab, step).catch((error: unknown) => {
    signal.throwIfAborted()
    return failedSample(step, describeError(error))
  }))
  progress.say(`  ${describeSample(sample)}`)
  return sample
}

/** The longest time of a measurement, s; generous, because a started measurement is not interrupted. */
function secondsOf({ cell, way }: Step, before: Step | undefined): number {
  const isSlow = cell.link === '100 Mbit/s' && way !== 'qemu-multifd-zstd' && way.startsWith('qemu-')
  const moving = (isSlow ? MOVE_SECONDS.slow : MOVE_SECONDS.fast) * cell.count
  const booting = cell.count > 1 && before?.cell.count === 1 ? BOOT_SECONDS : 0
  const isRestarted = before !== undefined && configurationOf(before.cell) !== configurationOf(cell)
  return STEP_SECONDS + moving + booting + (isRestarted ? RESTART_SECONDS : 0)
}

/** The part of a cell that configures agents: cells that share it need no restart. */
function configurationOf({ destination, leftOut }: Cell): string {
  return `${leftOut} ${destination === 'nothing' ? destination : ''}`
}
