import type { Scenario } from '../scenario.ts'
import { SMALL } from './systems.ts'

/** Between two sites, each byte saved is time. */
export const slow: Scenario = {
  name: 'slow-link',
  title: 'A guest moves over a link of 20 Mbit/s to where its twin lives, and comes back in post-copy',
  hosts: [{ name: 'a', rate: '20Mbit' }, { name: 'b', rate: '20Mbit' }],
  guests: [{ name: 'one', host: 'a', ...SMALL }, { name: 'two', host: 'b', ...SMALL }],
  steps: [
    { do: 'settle' },
    { do: 'migrate', guest: 'one', to: 'b' },
    { do: 'settle' },
    { do: 'migrate', guest: 'one', to: 'a', mode: 'postcopy' },
  ],
  expect: [{ that: 'saved-at-least', share: 0.6 }],
}
