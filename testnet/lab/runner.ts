import { systemClock } from '../../src/runtime/clock.ts'
import { describeError } from '../../src/runtime/errors.ts'
import { parseRate } from '../../src/text/units.ts'
import type { Progress } from '../demo/progress.ts'
import { createCluster, ensureImage, type LabCluster } from '../index.ts'
import { judge } from './assertions/judge.ts'
import { checkScenario } from './check.ts'
import { recordEnd } from './ending.ts'
import type { Lab } from './lab.ts'
import { keepLogs } from './logs.ts'
import { Places } from './places.ts'
import type { RunRecord, Verdict } from './record.ts'
import { Recorder } from './recorder.ts'
import type { Scenario } from './scenario.ts'
import { runSteps } from './steps.ts'

/** The result of a scenario. */
export interface RunOutcome {
  scenario: string
  passed: boolean
  record: RunRecord
  /** Empty if the run broke off. */
  verdicts: Verdict[]
  /** Why the run broke off. */
  error?: string
  /** The end of each agent's log, in the order of the agents' starts. */
  logs: { host: string; log: string }[]
}

export interface RunInit {
  scenario: Scenario
  /** Aborting ends the run at once; the lab is removed, then the reason is thrown. */
  signal: AbortSignal
  /** Folder for logs; created if missing. */
  logDirectory?: string
}

/** The rate of links that the scenario does not set. */
const RATE_DEFAULT = '1Gbit'

/**
 * Builds the scenario's lab, runs it through the command line alone, and judges the record. The lab is removed when
 * this resolves or throws. A run that breaks off is an outcome; throws LabError `lab-bad-scenario`, and errors of
 * building the lab.
 */
export async function runScenario(components: { progress: Progress }, init: RunInit): Promise<RunOutcome> {
  const { progress } = components
  const { scenario, signal } = init
  checkScenario(scenario)
  signal.throwIfAborted()
  const names = scenario.hosts.map(({ name }) => name)
  const what = `${scenario.name}: hosts ${names.join(', ')}, each with a network namespace and a link`
  const creating = progress.step(what, () =>
    createCluster({ hosts: names, bytesPerSecond: parseRate(RATE_DEFAULT)!, withoutAgents: true }))
  const running = creating.then((cluster) => run(cluster, progress, init))
  const close = async (): Promise<void> => {
    // A failed creation cleans up after itself, and fails the run.
    const cluster = await creating.catch(() => undefined)
    await cluster?.close()
  }
  try {
    return await Promise.race([running, aborted(signal)])
  } finally {
    await progress.step('taking everything away again', async () => {
      await close()
      // An ended run fails at its next step, since the lab is gone; it removes what it made until then.
      await running.catch(() => undefined)
      await close()
    })
  }
}

async function run(cluster: LabCluster, progress: Progress, init: RunInit): Promise<RunOutcome> {
  const { scenario, signal, logDirectory } = init
  const say = (text: string): void => progress.say(text)
  const recorder = new Recorder({ clock: systemClock, say }, { scenario: scenario.name })
  const places = new Places({ cluster, recorder }, { scenario })
  const lab: Lab = { cluster, places, recorder, scenario, signal }
  let error: string | undefined
  try {
    await setUp(lab, progress)
    recorder.begin()
    await runSteps(lab, scenario.steps)
    recorder.end()
    await progress.step('looking where everything is', () => recordEnd(lab))
  } catch (thrown) {
    error = describeError(thrown)
  }
  const verdicts = error === undefined ? judge(scenario, recorder.record) : []
  const passed = error === undefined && verdicts.every(({ faults }) => faults.length === 0)
  const outcome: RunOutcome = {
    scenario: scenario.name, passed, record: recorder.record, verdicts,
    ...(error === undefined ? {} : { error }),
    logs: places.agents.map((agent) => ({ host: agent.host.name, log: agent.log })),
  }
  if (logDirectory !== undefined && !signal.aborted) keepLogs(logDirectory, outcome, cluster.directory)
  return outcome
}

/** Guests boot before the agents start: with few processors, scans would slow the boot down. */
async function setUp({ cluster, places, scenario }: Lab, progress: Progress): Promise<void> {
  for (const { name, rate } of scenario.hosts) {
    if (rate !== undefined) await cluster.network.shape(name, parseRate(rate))
  }
  await ensureImage()
  const first = scenario.guests.filter(({ bootsLater }) => bootsLater !== true).map(({ name }) => name)
  await progress.step(`booting ${first.join(', ')}`, async () => {
    await Promise.all(first.map((name) => places.boot(name)))
  })
  await progress.step('starting the agents', async () => {
    for (const { name, settings, joinsLater } of scenario.hosts) {
      if (joinsLater !== true) await places.startAgent(name, settings)
    }
  })
}

function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true })
  })
}
