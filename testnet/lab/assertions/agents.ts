/** What must hold of the agents at the end. */
import type { Assertion } from './assertion.ts'

export const agentsSettle: Assertion = {
  name: 'every agent that runs sees all others, and settles',
  check: ({ agents }) => agents.filter(({ isSettled }) => !isSettled)
    .map(({ host, status }) => status === undefined ? `${host} does not answer` : `${host} has not settled`),
}

export const nothingLeftBehind: Assertion = {
  name: 'no agent has a handoff left, or a place where it met a QEMU',
  check: ({ agents }) => agents.flatMap(({ host, status, rendezvous }) => [
    ...(status?.handoffs ?? []).map(({ guest }) => `${host} still hands over ${guest}`),
    ...rendezvous.map((name) => `${host} has left ${name}`),
  ]),
}

export function viewsAgree(share: number): Assertion {
  return {
    name: `the views of any two hosts have ${Math.round(share * 100)} % of the popular pages in common`,
    check: ({ viewAgreement }) => {
      if (viewAgreement === undefined) return ['they were not compared']
      return viewAgreement >= share ? [] : [`they have ${(100 * viewAgreement).toFixed(1)} %`]
    },
  }
}

export function keepsWithinLimit(host: string): Assertion {
  return {
    name: `${host} keeps pages, and no more than it may`,
    check: ({ agents }) => {
      const store = agents.find((agent) => agent.host === host)?.status?.store
      if (store === undefined) return [`${host} does not answer`]
      if (store.pages === 0) return ['it keeps none']
      return store.bytes <= store.maxBytes ? [] : [`it keeps ${store.bytes} of ${store.maxBytes} bytes`]
    },
  }
}
