import { parseRate } from '../../src/text/units.ts'
import { LabError } from '../laberror.ts'
import type { Scenario, Step } from './scenario.ts'

/** Throws LabError `lab-bad-scenario` if a scenario names things that it does not define. Pure. */
export function checkScenario(scenario: Scenario): void {
  const hosts = scenario.hosts.map(({ name }) => name)
  const guests = scenario.guests.map(({ name }) => name)
  const rates = [...scenario.hosts.flatMap(({ rate }) => rate ?? []), ...flatten(scenario.steps).flatMap((step) =>
    step.do === 'shape' ? [step.rate] : [])]
  const faults = [
    ...(/^[a-z0-9]+(-[a-z0-9]+)*$/.test(scenario.name) ? [] : [`the name ${scenario.name}`]),
    ...[...repeated(hosts), ...repeated(guests)].map((name) => `two of ${name}`),
    ...rates.filter((rate) => parseRate(rate) === undefined).map((rate) => `the rate ${rate}`),
    ...namedHosts(scenario).filter((name) => !hosts.includes(name)).map((name) => `a host ${name} that it has not`),
    ...namedGuests(scenario).filter((name) => !guests.includes(name)).map((name) => `a guest ${name} that it has not`),
  ]
  if (faults.length === 0) return
  throw new LabError('lab-bad-scenario', `The scenario ${scenario.name} has ${faults.join(', ')}.`)
}

/** All steps, those of tracks included, in the order in which they are written. Pure. */
export function flatten(steps: readonly Step[]): Step[] {
  return steps.flatMap((step) => step.do === 'together' ? step.tracks.flatMap(flatten) : [step])
}

function namedHosts({ guests, steps, expect }: Scenario): string[] {
  return [
    ...guests.map(({ host }) => host),
    ...flatten(steps).flatMap((step) => [
      ...('host' in step ? [step.host] : []), ...('hosts' in step ? step.hosts : []),
      ...('on' in step ? [step.on] : []), ...('to' in step ? [step.to] : []),
    ]).flat(),
    ...expect.flatMap((expectation) => 'host' in expectation ? [expectation.host] : []),
  ]
}

function namedGuests({ steps }: Scenario): string[] {
  return flatten(steps).flatMap((step) => [
    ...('guest' in step ? [step.guest] : []),
    ...(step.do === 'until' && 'guest' in step.sees ? [step.sees.guest] : []),
  ])
}

function repeated(names: readonly string[]): string[] {
  return names.filter((name, index) => names.indexOf(name) !== index)
}
