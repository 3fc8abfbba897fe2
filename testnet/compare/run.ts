import type { Clock } from '../../src/runtime/clock.ts'
import type { Progress } from '../demo/progress.ts'
import { WAY_TITLES, type Cell, type Plan, type Step } from './cells.ts'
import type { ComparisonLab } from './lab.ts'
import { measure } from './move.ts'
import { describeCell, describeSample } from './report/words.ts'
import type { Beforehand, Sample } from './sample.ts'

/** What a measurement takes beside the bytes that it moves: the waiting QEMU, looking before and after, settling. */
const STEP_SECONDS = 12
/** What QEMU's way of a guest takes at most on the slowest link, and each way on the others. */
const MOVE_SECONDS = { slow: 30, fast: 5 }
/** Guests that leave together must be booted first. */
const BOOT_SECONDS = 150
/** Agents that are configured otherwise start anew, and learn what is popular. */
const RESTART_SECONDS = 40

export interface RunComponents {
  clock: Clock
  progress: Progress
}

export interface RunResult {
  samples: Sample[]
  beforehand: Beforehand
  /** Measurements of the first round for which there was no time. */
  omitted: number
}

/**
 * Boots all, goes through the plan while there is time, and resolves to what was found. A measurement that fails is
 * part of it. The caller closes `lab`.
 */
export async function runPlan(
  { clock, progress }: RunComponents, init: { lab: ComparisonLab; plan: Plan; startedAt: number },
): Promise<RunResult> {
  const { lab, plan, startedAt } = init
  await progress.step('booting two guests that move and two that stay', () => lab.boot())
  await progress.step('agents count what the guests hold, and c fetches what is common', () => lab.startAgents())
  const beforehand = await lab.beforehand()
  const samples: Sample[] = []
  let omitted = 0
  for (const [index, step] of plan.steps.entries()) {
    const secondsLeft = plan.secondsMax - (clock.now() - startedAt) / 1000
    if (secondsOf(step, plan.steps[index - 1]) > secondsLeft) {
      if (step.round === 1) omitted += 1
      continue
    }
    const title = `${index + 1}/${plan.steps.length}: ${describeCell(step.cell)}, ${WAY_TITLES[step.way]}`
    const sample = await progress.step(title, () => measure(lab, step))
    samples.push(sample)
    progress.say(`  ${describeSample(sample)}`)
    if (step.cell.count > 1 && plan.steps[index + 1]?.cell.count === 1) await lab.endMore()
  }
  return { samples, beforehand, omitted }
}

/** How long a measurement may take, seconds; generous, because what has begun is not broken off. */
function secondsOf({ cell, way }: Step, before: Step | undefined): number {
  const isSlow = cell.link === '100 Mbit/s' && way !== 'qemu-multifd-zstd' && way.startsWith('qemu-')
  const moving = (isSlow ? MOVE_SECONDS.slow : MOVE_SECONDS.fast) * cell.count
  const booting = cell.count > 1 && before?.cell.count === 1 ? BOOT_SECONDS : 0
  const isRestarted = before !== undefined && configurationOf(before.cell) !== configurationOf(cell)
  return STEP_SECONDS + moving + booting + (isRestarted ? RESTART_SECONDS : 0)
}

/** What of a cell is the agents' matter: two cells of one configuration need no restart. */
function configurationOf({ destination, leftOut }: Cell): string {
  return `${leftOut} ${destination === 'nothing' ? destination : ''}`
}
