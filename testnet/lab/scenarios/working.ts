import type { Scenario } from '../scenario.ts'
import { DEBIAN } from './systems.ts'

/** Memory is not compared here: the guests are not stopped, and keep working as they arrive. */
export const working: Scenario = {
  name: 'servers-at-work',
  title: 'A web server, a database and a compile job move in a circle while they work',
  hosts: [{ name: 'a' }, { name: 'b' }, { name: 'c' }],
  guests: [
    { name: 'web', host: 'a', ...DEBIAN, work: 'web' },
    { name: 'database', host: 'b', ...DEBIAN, work: 'database' },
    { name: 'compile', host: 'c', ...DEBIAN, work: 'compile' },
  ],
  steps: [
    { do: 'settle' },
    { do: 'migrate', guest: 'web', to: 'b', unattended: true },
    { do: 'migrate', guest: 'database', to: 'c', unattended: true },
    { do: 'migrate', guest: 'compile', to: 'a', mode: 'postcopy', unattended: true },
  ],
  expect: [{ that: 'every-guest-moved', times: 1 }, { that: 'saved-at-least', share: 0.5 }],
}
