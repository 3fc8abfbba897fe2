import type { Scenario } from '../scenario.ts'
import { RANDOM } from './systems.ts'

/** The guest must not notice the cancelled migration. */
export const cancelled: Scenario = {
  name: 'cancelled',
  title: 'A migration is cancelled in the middle; the guest goes on where it is, and moves at the second try',
  hosts: [{ name: 'a', rate: '100Mbit' }, { name: 'b', rate: '100Mbit' }],
  guests: [{ name: 'one', host: 'a', ...RANDOM }],
  steps: [
    { do: 'settle' },
    { do: 'together', tracks: [
      [{ do: 'migrate', guest: 'one', to: 'b', ends: 'cancelled', unattended: true }],
      [
        { do: 'until', host: 'a', sees: { is: 'moving', guest: 'one', megabytes: 20 } },
        { do: 'cancel', guest: 'one' },
      ],
    ] },
    { do: 'migrate', guest: 'one', to: 'b' },
  ],
  expect: [{ that: 'every-guest-moved', times: 1 }],
}
