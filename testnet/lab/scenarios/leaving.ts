import type { Scenario } from '../scenario.ts'
import { SMALL } from './systems.ts'

/** A host must be emptied at once, with no time to move its guests one by one. */
export const leaving: Scenario = {
  name: 'five-at-once',
  title: 'Five guests leave one host together, for two others',
  hosts: [{ name: 'a' }, { name: 'b' }, { name: 'c' }],
  guests: [
    ...['one', 'two', 'three', 'four', 'five'].map((name) => ({ name, host: 'a', ...SMALL })),
    { name: 'there', host: 'b', ...SMALL },
  ],
  steps: [
    { do: 'settle' },
    { do: 'evacuate', host: 'a', to: ['b', 'c'], atOnce: true },
  ],
  expect: [{ that: 'saved-at-least', share: 0.3 }],
}
