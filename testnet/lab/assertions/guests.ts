/** What must hold of the guests, whatever happens to their hosts. */
import type { Assertion } from './assertion.ts'

export const everyGuestRuns: Assertion = {
  name: 'every guest runs, and its heartbeat goes on',
  check: ({ guests }) => guests.filter(({ host, isAlive }) => host !== undefined && !isAlive)
    .map(({ name, host }) => `${name} does not run on ${host}`),
}

export const noGuestLost: Assertion = {
  name: 'no guest is lost: each is where it was taken to, and the agent there knows',
  check: ({ guests }) => guests.flatMap(({ name, host, runsOn, seenOn }) => {
    // A guest that crashed with its host must not run elsewhere.
    const wanted = host === undefined ? [] : [host]
    return [
      ...(isSame(runsOn, wanted) ? [] : [`${name} runs on ${list(runsOn)}, not on ${list(wanted)}`]),
      ...(isSame(seenOn, wanted) ? [] : [`agents see ${name} on ${list(seenOn)}, not on ${list(wanted)}`]),
    ]
  }),
}

export const neverTwice: Assertion = {
  name: 'no guest ever runs twice',
  check: ({ doubles }) => doubles,
}

function isSame(left: readonly string[], right: readonly string[]): boolean {
  return left.length === right.length && left.every((host) => right.includes(host))
}

function list(hosts: readonly string[]): string {
  return hosts.length === 0 ? 'no host' : hosts.join(' and ')
}
