import type { Scenario } from '../scenario.ts'
import { SCANS_OFTEN, SMALL } from './systems.ts'

/** With more than three hosts, not every host owns every slice: popular pages are gossiped. */
export const partition: Scenario = {
  name: 'partition-during-gossip',
  title: 'Two of five hosts are cut off while pages are gossiped, guests boot and move; then all views agree',
  hosts: ['a', 'b', 'c', 'd', 'e'].map((name) => ({ name, settings: SCANS_OFTEN })),
  guests: [
    ...['a', 'b', 'c', 'd', 'e'].map((host) => ({ name: `first-${host}`, host, ...SMALL })),
    { name: 'second-a', host: 'a', ...SMALL, bootsLater: true },
    { name: 'second-e', host: 'e', ...SMALL, bootsLater: true },
  ],
  steps: [
    { do: 'until', host: 'a', sees: { is: 'knowing', pages: 500 } },
    { do: 'cut', hosts: ['d', 'e'] },
    { do: 'together', tracks: [[{ do: 'boot', guest: 'second-a' }], [{ do: 'boot', guest: 'second-e' }]] },
    { do: 'until', host: 'a', sees: { is: 'joined', peers: 2 } },
    { do: 'until', host: 'd', sees: { is: 'joined', peers: 1 } },
    { do: 'migrate', guest: 'first-e', to: 'd' },
    { do: 'restore', hosts: ['d', 'e'] },
    { do: 'converge', seconds: 120 },
    { do: 'migrate', guest: 'first-d', to: 'e' },
  ],
  expect: [{ that: 'views-agree', share: 0.97 }],
}
