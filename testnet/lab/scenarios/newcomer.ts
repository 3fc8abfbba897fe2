import type { Scenario } from '../scenario.ts'
import { SCANS_OFTEN, SMALL } from './systems.ts'

/** No operator tells the new host what to fetch, and no guest runs there. */
export const newcomer: Scenario = {
  name: 'newcomer',
  title: 'A host that joins fills its store unattended, then takes a guest of the system that the others run',
  hosts: [
    { name: 'a', settings: SCANS_OFTEN }, { name: 'b', settings: SCANS_OFTEN },
    { name: 'new', settings: SCANS_OFTEN, joinsLater: true },
  ],
  guests: [{ name: 'one', host: 'a', ...SMALL }, { name: 'two', host: 'b', ...SMALL }],
  steps: [
    { do: 'settle' },
    { do: 'until', host: 'a', sees: { is: 'knowing', pages: 1000 } },
    { do: 'start-agent', host: 'new' },
    { do: 'until', host: 'new', sees: { is: 'keeping', pages: 4000 }, seconds: 90 },
    { do: 'settle' },
    { do: 'migrate', guest: 'one', to: 'new' },
  ],
  expect: [{ that: 'filled-from-store', pages: 1000 }, { that: 'saved-at-least', share: 0.5 }],
}
