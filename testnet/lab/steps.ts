/** Carries out each step of a scenario. */
import { systemClock } from '../../src/runtime/clock.ts'
import { parseRate } from '../../src/text/units.ts'
import { waitFor } from '../index.ts'
import { LabError } from '../laberror.ts'
import { describeCondition, holds } from './conditions.ts'
import type { Lab } from './lab.ts'
import { moveGuest } from './move.ts'
import type { Step } from './scenario.ts'
import { converge, settle } from './settling.ts'

const UNTIL_SECONDS = 60
const LOOK_PAUSE_MS = 150

/** Runs steps in order. Throws a step's error; a migration that does not complete is recorded and is no error. */
export async function runSteps(lab: Lab, steps: readonly Step[]): Promise<void> {
  for (const step of steps) {
    lab.signal.throwIfAborted()
    await runStep(lab, step)
  }
}

async function runStep(lab: Lab, step: Step): Promise<void> {
  const { places, recorder, signal } = lab
  switch (step.do) {
    case 'settle': return await settle(lab)
    case 'converge': return await converge(lab, step.seconds)
    case 'wait':
      recorder.event(`waiting for ${step.seconds} s`)
      return await systemClock.sleep(step.seconds * 1000, signal)
    case 'until': return await until(lab, step)
    case 'boot':
      recorder.event(`${step.guest} boots`)
      return await places.boot(step.guest)
    case 'migrate': return await moveGuest(lab, step)
    case 'prepare':
      recorder.event(`a QEMU on ${step.on} waits for ${step.guest}`)
      return await places.prepare(step.guest, step.on)
    case 'cut':
      recorder.event(`cut off: ${step.hosts.join(', ')}`)
      return await places.cut(step.hosts)
    case 'restore':
      recorder.event(`reached again: ${step.hosts.join(', ')}`)
      return await places.restore(step.hosts)
    case 'cancel': return await cancel(lab, step.guest)
    case 'evacuate': return await evacuate(lab, step)
    case 'together': return await together(step.tracks.map((track) => runSteps(lab, track)))
    default: return await strike(lab, step)
  }
}

/** Changes to hosts, links and agents. */
async function strike(
  { cluster, places, recorder }: Lab,
  step: Extract<Step, { do: 'shape' | 'stop-agent' | 'kill-agent' | 'start-agent' | 'crash' }>,
): Promise<void> {
  const { host } = step
  recorder.event(WORDS[step.do](host))
  switch (step.do) {
    case 'shape': return await cluster.network.shape(host, parseRate(step.rate))
    case 'stop-agent': return await places.endAgent(host, 'stop')
    case 'kill-agent': return await places.endAgent(host, 'kill')
    case 'start-agent': return await places.startAgent(host, step.settings)
    case 'crash': return await places.crash(host)
  }
}

const WORDS = {
  'shape': (host: string) => `the link of ${host} changes its rate`,
  'stop-agent': (host: string) => `the agent of ${host} stops`,
  'kill-agent': (host: string) => `the agent of ${host} is killed`,
  'start-agent': (host: string) => `the agent of ${host} starts`,
  'crash': (host: string) => `${host} crashes`,
} as const

async function until({ cluster, recorder, signal }: Lab, step: Extract<Step, { do: 'until' }>): Promise<void> {
  const what = `${step.host} ${describeCondition(step.sees)}`
  await waitFor(async () => holds(step.sees, await cluster.agent(step.host).status()) ? true : undefined, {
    clock: systemClock, signal, pauseMs: LOOK_PAUSE_MS, timeoutMs: (step.seconds ?? UNTIL_SECONDS) * 1000,
    what: `until ${what}`,
  })
  recorder.event(what)
}

async function cancel({ cluster, places, recorder }: Lab, guest: string): Promise<void> {
  recorder.event(`${guest}: the migration is cancelled`)
  const { status, errors } = await cluster.agent(places.require(guest).host).command('cancel', guest, '--json')
  if (status === 0) return
  throw new LabError('lab-not-cancelled', `\`pagemesh cancel\` ended with ${status}: ${errors.trim()}`)
}

async function evacuate(lab: Lab, { host, to, atOnce }: Extract<Step, { do: 'evacuate' }>): Promise<void> {
  const steps = lab.places.guestsOn(host).map((guest, index) => (
    { do: 'migrate', guest, to: to[index % to.length]! } as const
  ))
  lab.recorder.event(`${host} is emptied: ${steps.length} guests`)
  if (atOnce === true) await together(steps.map((step) => moveGuest(lab, step)))
  else await runSteps(lab, steps)
}

/** Waits for all, even if one fails; then throws the first error. */
async function together(tracks: readonly Promise<void>[]): Promise<void> {
  const ends = await Promise.allSettled(tracks)
  for (const end of ends) if (end.status === 'rejected') throw end.reason
}
