import type { Scenario } from '../scenario.ts'
import { SMALL } from './systems.ts'

/** Memory that was never touched must cost almost nothing: no bytes, no time, no store. */
export const empty: Scenario = {
  name: 'mostly-empty',
  title: 'A guest of 2 GiB that uses a few percent of it moves there and back, in both modes',
  hosts: [{ name: 'a' }, { name: 'b' }],
  guests: [{ name: 'roomy', host: 'a', ...SMALL, memoryMiB: 2048 }, { name: 'small', host: 'b', ...SMALL }],
  steps: [
    { do: 'settle' },
    { do: 'migrate', guest: 'roomy', to: 'b' },
    { do: 'settle' },
    { do: 'migrate', guest: 'roomy', to: 'a', mode: 'postcopy' },
  ],
  expect: [{ that: 'saved-at-least', share: 0.5 }],
}
