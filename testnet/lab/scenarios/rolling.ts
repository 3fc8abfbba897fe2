import type { Scenario } from '../scenario.ts'
import { SMALL } from './systems.ts'

/** Maintenance: each host is emptied, its agent restarted, and its guests brought back. */
export const rolling: Scenario = {
  name: 'rolling-maintenance',
  title: 'Three hosts are emptied, restarted and filled again, one after the other: every guest moves twice',
  hosts: [{ name: 'a' }, { name: 'b' }, { name: 'c' }],
  guests: [
    { name: 'a1', host: 'a', ...SMALL }, { name: 'a2', host: 'a', ...SMALL },
    { name: 'b1', host: 'b', ...SMALL }, { name: 'b2', host: 'b', ...SMALL },
    { name: 'c1', host: 'c', ...SMALL }, { name: 'c2', host: 'c', ...SMALL },
  ],
  steps: [
    { do: 'settle' },
    { do: 'evacuate', host: 'a', to: ['b', 'c'], atOnce: true },
    { do: 'stop-agent', host: 'a' },
    { do: 'start-agent', host: 'a' },
    { do: 'settle' },
    { do: 'migrate', guest: 'a1', to: 'a' },
    { do: 'migrate', guest: 'a2', to: 'a' },
    { do: 'evacuate', host: 'b', to: ['c', 'a'], atOnce: true },
    { do: 'stop-agent', host: 'b' },
    { do: 'start-agent', host: 'b' },
    { do: 'settle' },
    { do: 'migrate', guest: 'b1', to: 'b' },
    { do: 'migrate', guest: 'b2', to: 'b' },
    { do: 'evacuate', host: 'c', to: ['a', 'b'], atOnce: true },
    { do: 'stop-agent', host: 'c' },
    { do: 'start-agent', host: 'c' },
    { do: 'settle' },
    { do: 'migrate', guest: 'c1', to: 'c', unattended: true },
    { do: 'migrate', guest: 'c2', to: 'c', unattended: true },
  ],
  expect: [{ that: 'every-guest-moved', times: 2 }, { that: 'saved-at-least', share: 0.5 }],
}
