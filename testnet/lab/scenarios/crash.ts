import type { Scenario } from '../scenario.ts'
import { SCANS_OFTEN, SMALL } from './systems.ts'

/** A host from which a newcomer fetches crashes; the newcomer gets the missing pages from the others. */
export const crash: Scenario = {
  name: 'crash-during-swap',
  title: 'A host crashes while a newcomer fetches pages from it; the newcomer fills its store from the others',
  hosts: [
    { name: 'a', settings: SCANS_OFTEN }, { name: 'b', settings: SCANS_OFTEN }, { name: 'c', settings: SCANS_OFTEN },
    { name: 'new', settings: { ...SCANS_OFTEN, swap: { maxBandwidth: '16Mbit' } }, joinsLater: true },
  ],
  guests: [
    { name: 'one', host: 'a', ...SMALL }, { name: 'two', host: 'b', ...SMALL }, { name: 'three', host: 'c', ...SMALL },
  ],
  steps: [
    { do: 'settle' },
    { do: 'until', host: 'a', sees: { is: 'knowing', pages: 1000 } },
    { do: 'start-agent', host: 'new' },
    { do: 'until', host: 'new', sees: { is: 'swapping', megabytes: 2 }, seconds: 90 },
    { do: 'crash', host: 'b' },
    { do: 'until', host: 'new', sees: { is: 'joined', peers: 2 } },
    { do: 'until', host: 'new', sees: { is: 'keeping', pages: 4000 }, seconds: 120 },
    { do: 'migrate', guest: 'one', to: 'new' },
  ],
  expect: [{ that: 'filled-from-store', pages: 1000 }, { that: 'saved-at-least', share: 0.5 }],
}
