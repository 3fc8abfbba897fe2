import type { Scenario } from '../scenario.ts'
import { RANDOM, SCANS_OFTEN, SMALL } from './systems.ts'

/** A full store must not delay a guest, and must not exceed its limit. */
export const full: Scenario = {
  name: 'full-store',
  title: 'A guest of another kind moves to a host whose small store is full of other pages, and to one that keeps none',
  hosts: [
    { name: 'a', settings: SCANS_OFTEN }, { name: 'b', settings: { ...SCANS_OFTEN, store: { maxBytes: 0 } } },
    { name: 'full', settings: { ...SCANS_OFTEN, store: { maxBytes: '8MiB' } } },
  ],
  guests: [
    { name: 'one', host: 'a', ...SMALL }, { name: 'two', host: 'b', ...SMALL }, { name: 'other', host: 'a', ...RANDOM },
  ],
  steps: [
    { do: 'settle' },
    { do: 'until', host: 'full', sees: { is: 'keeping', pages: 1500 }, seconds: 90 },
    { do: 'migrate', guest: 'other', to: 'full' },
    { do: 'migrate', guest: 'other', to: 'b' },
  ],
  expect: [{ that: 'keeps-within-limit', host: 'full' }, { that: 'no-worse-than-plain', ratio: 1.02 }],
}
