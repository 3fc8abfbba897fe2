import type { Scenario } from '../scenario.ts'
import { RANDOM } from './systems.ts'

/** Both links carry both guests, so that the two handoffs compete. */
export const opposite: Scenario = {
  name: 'opposite-handoffs',
  title: 'Two guests pass each other: one from a to b, one from b to a, at the same time',
  hosts: [{ name: 'a', rate: '200Mbit' }, { name: 'b', rate: '200Mbit' }],
  guests: [{ name: 'east', host: 'a', ...RANDOM }, { name: 'west', host: 'b', ...RANDOM }],
  steps: [
    { do: 'settle' },
    { do: 'together', tracks: [
      [{ do: 'migrate', guest: 'east', to: 'b' }],
      [{ do: 'migrate', guest: 'west', to: 'a', mode: 'postcopy' }],
    ] },
  ],
  expect: [{ that: 'moves-overlapped' }, { that: 'every-guest-moved', times: 1 }],
}
