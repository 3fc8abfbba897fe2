import type { Scenario } from '../scenario.ts'
import { RANDOM } from './systems.ts'

/**
 * The destination's agent first, then the source's: before switchover the guest stays, and moves at a later attempt.
 */
export const killed: Scenario = {
  name: 'agents-killed',
  title: 'Either agent is killed in the middle of a migration; the guest goes on at the source, and moves at last',
  hosts: [{ name: 'a', rate: '100Mbit' }, { name: 'b', rate: '100Mbit' }],
  guests: [{ name: 'one', host: 'a', ...RANDOM }],
  steps: [
    { do: 'settle' },
    { do: 'together', tracks: [
      [{ do: 'migrate', guest: 'one', to: 'b', ends: 'failed', unattended: true }],
      [
        { do: 'until', host: 'a', sees: { is: 'moving', guest: 'one', megabytes: 20 } },
        { do: 'kill-agent', host: 'b' },
      ],
    ] },
    { do: 'start-agent', host: 'b' },
    { do: 'settle' },
    { do: 'together', tracks: [
      [{ do: 'migrate', guest: 'one', to: 'b', ends: 'failed', because: 'agent on this host ended', unattended: true }],
      [
        { do: 'until', host: 'a', sees: { is: 'moving', guest: 'one', megabytes: 20 } },
        { do: 'kill-agent', host: 'a' },
      ],
    ] },
    { do: 'start-agent', host: 'a' },
    { do: 'settle' },
    { do: 'migrate', guest: 'one', to: 'b' },
  ],
  expect: [{ that: 'every-guest-moved', times: 1 }],
}
