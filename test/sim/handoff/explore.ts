/** Many runs, one after the other, and their results. */
import { noVisits, type Visits } from './coverage.ts'
import { FAULTS, type Fault } from './truth.ts'
import { REAL_STEPS, World, type Steps } from './world.ts'

export interface Failure {
  seed: number
  trace: string[]
}

export interface Exploration {
  runs: number
  /** Pairs of the two ends' states that were seen. */
  states: number
  lost: number
  doubled: number
  wedged: number
  wrongWords: number
  settingsLeft: number
  failures: Failure[]
}

export interface ExploreInit {
  runs: number
  /** Run n has the seed `seed + n`. */
  seed: number
  steps?: Steps
  visits?: Visits
  /** Failures that keep their traces; later ones are only counted. */
  failuresMax?: number
  /** Stops at the first failure. */
  isHasty?: boolean
  progress?: (runs: number, failures: number) => void
}

const PROGRESS_EVERY = 256

export function explore({
  runs, seed, steps = REAL_STEPS, visits = noVisits(), failuresMax = 10, isHasty = false,
  progress,
}: ExploreInit): Exploration {
  const found: Exploration = {
    runs: 0, states: 0, lost: 0, doubled: 0, wedged: 0, wrongWords: 0, settingsLeft: 0, failures: [],
  }
  let failures = 0
  for (let run = 0; run < runs; run++) {
    const runSeed = (seed + run) >>> 0
    const faults = look(runSeed, steps, visits)
    found.runs += 1
    if (run % PROGRESS_EVERY === 0) progress?.(run, failures)
    if (faults.size === 0) continue
    failures += 1
    for (const fault of FAULTS) if (faults.has(fault)) found[fault] += 1
    if (found.failures.length < failuresMax) found.failures.push({ seed: runSeed, trace: traceOf(runSeed, steps) })
    if (isHasty) break
  }
  found.states = visits.pairs.size
  return found
}

function look(seed: number, steps: Steps, visits: Visits): Set<Fault> {
  const world = new World(seed, steps, { visits })
  world.run()
  return new Set(world.truth.found.map(({ fault }) => fault))
}

/** Repeats a run with its trace. */
export function traceOf(seed: number, steps: Steps = REAL_STEPS): string[] {
  const world = new World(seed, steps, { isTraced: true })
  world.run()
  return world.lines
}
