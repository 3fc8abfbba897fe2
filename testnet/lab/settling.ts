/** Waiting for the agents, by their status. */
import type { PopularPage } from '../../src/index.ts'
import { systemClock } from '../../src/runtime/clock.ts'
import { waitFor } from '../index.ts'
import { LabError } from '../laberror.ts'
import { agreementOf } from './conditions.ts'
import type { Lab } from './lab.ts'

const SCAN_TIMEOUT_MS = 60_000
const LOOK_PAUSE_MS = 300
/** Time between two reads of all views, ms: each is a command with a long answer. */
const VIEWS_PAUSE_MS = 3_000
const VIEW_PAGES_MAX = 100_000

/** Waits until every reachable agent sees all others and has scanned its guests. */
export async function settle(lab: Lab): Promise<void> {
  lab.recorder.event('the agents settle')
  const hosts = lab.places.connected()
  for (const host of hosts) await lab.cluster.agent(host).settled(hosts.length - 1)
  // An agent that has not noticed a running guest yet reports itself as settled, too.
  for (const host of hosts) await scanned(lab, host)
}

async function scanned({ cluster, places, signal }: Lab, host: string): Promise<void> {
  const here = places.guestsOn(host)
  await waitFor(async () => {
    const { guests } = await cluster.agent(host).status()
    const isScanned = (name: string): boolean => guests.some((known) =>
      known.name === name && known.state === 'running' && known.distinctPages > 0)
    return here.every(isScanned) ? true : undefined
  }, {
    clock: systemClock, signal, pauseMs: LOOK_PAUSE_MS, timeoutMs: SCAN_TIMEOUT_MS,
    what: `the agent of ${host} to scan its guests`,
  })
}

/** Waits until the views agree as expected, or the time is up; records how far they agree. */
export async function converge(lab: Lab, seconds: number): Promise<void> {
  const { places, recorder, scenario, signal } = lab
  const share = scenario.expect.find((expectation) => expectation.that === 'views-agree')?.share ?? 1
  const startedAt = systemClock.now()
  for (;;) {
    const views: ReadonlySet<string>[] = []
    for (const host of places.connected()) views.push(await viewOf(lab, host))
    const agreement = agreementOf(views)
    recorder.record.viewAgreement = agreement
    recorder.event(`the views have ${(100 * agreement).toFixed(1)} % in common; ` +
      `popular pages by host: ${views.map(({ size }) => size).join(', ')}`)
    if (agreement >= share || systemClock.now() - startedAt > seconds * 1000) return
    await systemClock.sleep(VIEWS_PAUSE_MS, signal)
  }
}

/** The popular pages that a host knows. */
async function viewOf({ cluster }: Lab, host: string): Promise<Set<string>> {
  const { status, output, errors } = await cluster.agent(host).command('pages', '--top', `${VIEW_PAGES_MAX}`, '--json')
  if (status !== 0) {
    throw new LabError('lab-agent-ended', `${host} does not list its pages: ${errors.trim()}`)
  }
  const { pages } = JSON.parse(output) as { pages: PopularPage[] }
  return new Set(pages.map(({ prefix }) => prefix))
}
