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

/** How a scenario came out. */
export interface RunOutcome {
  scenario: string
  passed: boolean
  record: RunRecord
  /** Empty if the run broke off. */
  verdicts: Verdict[]
  /** Why the run broke off. */
  error?: string
  /** Of each agent there was, in the order of their starts: the end of its log. */
  logs: { host: string; log: string }[]
}

export interface RunInit {
  scenario: Scenario
  /** Aborting ends the run at once; what it started is taken away, then the reason is thrown. */
  signal: AbortSignal
  /** Where logs are kept; made if missing. */
  logDirectory?: string
}

/** With the link of a host that says nothing of its own. */
const RATE_DEFAULT = '1Gbit'

/**
 * Builds the lab that a scenario asks for, runs it through the command line alone, and judges what was recorded.
 * Nothing of the lab is left when this resolves or throws. A run that breaks off is an outcome; throws PagemeshError
 * `lab-bad-scenario`, and whatever keeps the lab from being built.
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
    // What could not be created has taken itself away, and fails the run by itself.
    const cluster = await creating.catch(() => undefined)
    await cluster?.close()
  }
  try {
    return await Promise.race([running, aborted(signal)])
  } finally {
    await progress.step('taking everything away again', async () => {
      await close()
      // A run that was ended fails at its next step, now that nothing is there; what it made until then goes too.
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

/** Guests boot before the agents start: on few processors a scan takes from the boot what it needs itself. */
async function setUp({ cluster, places, scenario }: Lab, progress: Progress): Promise<void> {
  for (const { name, rate } of scenario.hosts) {
    if (rate !== undefined) await cluster.network.shape(name, parseRate(rate)!)
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
