/** Round after round until enough faults have struck; counts what went wrong. */
import { systemClock } from '../../src/runtime/clock.ts'
import { waitFor } from '../../testnet/index.ts'
import { Chance } from '../support/chance.ts'
import { HOSTS, type FaultLab } from './lab.ts'
import { Leftovers } from './leftovers.ts'
import { planRound, type PlannedRound, type Strike, type StrikeKind } from './plan.ts'
import { runRound, type RoundEnd, type Wrong, type WrongKind } from './round.ts'

export interface FaultsReport extends Record<WrongKind, number> {
  seed: number
  /** How often something struck. */
  faults: number
  rounds: number
  strikes: Partial<Record<StrikeKind, number>>
  /** How the moves ended. */
  ends: Record<string, number>
  /** Rounds with something wrong, each with its plan, and the first ones with a trace. */
  failures: string[]
}

export interface RunInit {
  seed: number
  faults: number
  /** Moment of `performance.now()` after which no round begins. */
  untilMs: number
  only?: readonly StrikeKind[]
  say: (line: string) => void
  signal?: AbortSignal
}

const USUAL_MS = 1500
const USUAL_WEIGHT = 0.1
const CLEAN_MS_MAX = 30_000
const SETTLED_EVERY = 10
const SETTLED_MS_MAX = 120_000
const LOOK_PAUSE_MS = 250
const SHOWN_MAX = 5

export async function runFaults(lab: FaultLab, init: RunInit): Promise<FaultsReport> {
  const report: FaultsReport = {
    seed: init.seed, faults: 0, lost: 0, doubled: 0, wedged: 0, unequal: 0, leftBehind: 0, wrongWords: 0,
    settingsLeft: 0, rounds: 0, strikes: {}, ends: {}, failures: [],
  }
  const chance = new Chance(init.seed)
  const leftovers = new Leftovers(lab)
  await leftovers.find()
  let usualMs = USUAL_MS
  while (report.faults < init.faults && performance.now() < init.untilMs && init.signal?.aborted !== true) {
    // Each round has numbers of its own: what one draws does not change the next.
    const plan = planRound(chance.fork(report.rounds), lab.roamers.length, init.only)
    lab.trace.clear()
    lab.trace.add('round', `${report.rounds}: ${describe(plan)}`)
    const { faults, ends, tookMs } = await carryOut(lab, plan, usualMs)
    if (tookMs !== undefined) usualMs += USUAL_WEIGHT * (tookMs - usualMs)
    const wrong: Wrong[] = [...faults, ...await rest(lab, leftovers, report.rounds)]
    count(report, ends.length === 0 ? [] : plan.strikes, ends)
    note(lab, report, plan, wrong)
    init.say(`round ${report.rounds}, fault ${report.faults} of ${init.faults}: ${describe(plan)}: ${ends.join(', ')}` +
      wrong.map(({ kind, what }) => `\n          ${kind}: ${what}`).join(''))
  }
  return report
}

/** A round that ends by an error, say because a QEMU does not answer, is wrong as well; then all is put back. */
async function carryOut(lab: FaultLab, plan: PlannedRound, usualMs: number): Promise<RoundEnd> {
  try {
    return await runRound(lab, plan, usualMs)
  } catch (error) {
    await lab.repair()
    return { faults: [{ kind: 'wedged', what: `the round did not end: ${String(error)}` }], ends: ['unknown'] }
  }
}

/** Waits until the agents see each other and nothing is left; says what does not come to rest. */
async function rest(
  lab: FaultLab, leftovers: Leftovers, round: number,
): Promise<Wrong[]> {
  const wrong: Wrong[] = []
  try {
    await lab.joined()
    if (round % SETTLED_EVERY === SETTLED_EVERY - 1) await settled(lab)
  } catch (error) {
    wrong.push({ kind: 'wedged', what: String(error) })
    await lab.restartAgents()
  }
  const startedAt = performance.now()
  for (;;) {
    const left = await leftovers.find()
    if (left.length === 0) return wrong
    if (performance.now() - startedAt > CLEAN_MS_MAX) {
      wrong.push(...left.map((what) => ({ kind: 'leftBehind' as const, what })))
      await lab.restartAgents()
      return wrong
    }
    await systemClock.sleep(LOOK_PAUSE_MS)
  }
}

async function settled(lab: FaultLab): Promise<void> {
  await Promise.all(HOSTS.map((host) => waitFor(async () => {
    const { settled: isSettled } = await lab.agent(host).status()
    return isSettled ? true : undefined
  }, { clock: systemClock, what: `${host} to settle`, timeoutMs: SETTLED_MS_MAX, pauseMs: LOOK_PAUSE_MS })))
}

function count(report: FaultsReport, strikes: readonly Strike[], ends: readonly string[]): void {
  report.rounds += 1
  report.faults += strikes.length
  for (const { kind } of strikes) report.strikes[kind] = (report.strikes[kind] ?? 0) + 1
  for (const end of ends) report.ends[end] = (report.ends[end] ?? 0) + 1
}

function note(
  lab: FaultLab, report: FaultsReport, plan: PlannedRound, wrong: readonly Wrong[],
): void {
  if (wrong.length === 0) return
  for (const kind of new Set(wrong.map((each) => each.kind))) report[kind] += 1
  const said = wrong.map(({ kind, what }) => `${kind}: ${what}`).join('\n  ')
  const evidence = report.failures.length < SHOWN_MAX ? `\n${lab.evidence()}` : ''
  report.failures.push(`round ${report.rounds - 1} (${describe(plan)}):\n  ${said}${evidence}`)
}

function describe({ moves, strikes }: PlannedRound): string {
  const moving = moves.map(({ guest, mode, isStill }) => `${guest} ${mode}${isStill ? ' still' : ''}`).join(' and ')
  const striking = strikes.map(({ kind, target, at, lengthMs }) =>
    `${kind} ${target} at ${at.toFixed(2)} for ${lengthMs} ms`)
  return `${moving}; ${striking.join(', ')}`
}
