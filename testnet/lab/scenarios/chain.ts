import type { Scenario } from '../scenario.ts'
import { SMALL } from './systems.ts'

const WAY = ['b', 'c', 'a', 'c', 'b', 'a', 'b', 'a', 'c', 'a']

/** A fault that changes one page in a million has ten chances to show. */
export const chain: Scenario = {
  name: 'chain-of-ten',
  title: 'One guest moves ten times among three hosts, in both modes; its memory is compared each time',
  hosts: [{ name: 'a' }, { name: 'b' }, { name: 'c' }],
  guests: [{ name: 'traveller', host: 'a', ...SMALL }],
  steps: [
    { do: 'settle' },
    ...WAY.map((to, index) => (
      { do: 'migrate', guest: 'traveller', to, mode: index % 3 === 2 ? 'postcopy' : 'precopy' } as const
    )),
  ],
  expect: [{ that: 'every-guest-moved', times: 10 }, { that: 'saved-at-least', share: 0.3 }],
}
