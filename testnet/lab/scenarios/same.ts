import type { Scenario } from '../scenario.ts'
import { DEBIAN } from './systems.ts'

/** The main use of Pagemesh: the destination has a guest of the same system. */
export const same: Scenario = {
  name: 'same-system',
  title: 'An idle Debian moves in pre-copy to where another Debian serves the web, and comes back in post-copy',
  hosts: [{ name: 'a' }, { name: 'b' }],
  guests: [{ name: 'idle', host: 'a', ...DEBIAN, work: 'idle' }, { name: 'web', host: 'b', ...DEBIAN, work: 'web' }],
  steps: [
    { do: 'settle' },
    { do: 'migrate', guest: 'idle', to: 'b' },
    { do: 'settle' },
    { do: 'migrate', guest: 'idle', to: 'a', mode: 'postcopy' },
  ],
  expect: [{ that: 'saved-at-least', share: 0.7 }],
}
