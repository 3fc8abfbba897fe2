import type { Scenario } from '../scenario.ts'
import { RANDOM } from './systems.ts'

/** If nothing can be saved, nothing may be lost. */
export const alien: Scenario = {
  name: 'nothing-in-common',
  title: 'A guest full of random data moves there and back, and takes no more than QEMU alone would',
  hosts: [{ name: 'a' }, { name: 'b', settings: { store: { maxBytes: 0 } } }],
  guests: [{ name: 'random', host: 'a', ...RANDOM }],
  steps: [
    { do: 'settle' },
    { do: 'migrate', guest: 'random', to: 'b' },
    { do: 'migrate', guest: 'random', to: 'a', mode: 'postcopy' },
  ],
  expect: [{ that: 'no-worse-than-plain', ratio: 1.02 }],
}
