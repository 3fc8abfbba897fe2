import type { Scenario } from '../scenario.ts'
import { SMALL } from './systems.ts'

/** A waiting QEMU is started long before its migration; meanwhile both agents are restarted. */
export const waiting: Scenario = {
  name: 'restart-while-waiting',
  title: 'A QEMU waits long for its guest; meanwhile one agent is restarted, the other killed and started again',
  hosts: [{ name: 'a' }, { name: 'b' }],
  guests: [{ name: 'one', host: 'a', ...SMALL }, { name: 'two', host: 'b', ...SMALL }],
  steps: [
    { do: 'settle' },
    { do: 'prepare', guest: 'one', on: 'b' },
    { do: 'wait', seconds: 10 },
    { do: 'stop-agent', host: 'b' },
    { do: 'start-agent', host: 'b' },
    { do: 'wait', seconds: 10 },
    { do: 'kill-agent', host: 'a' },
    { do: 'start-agent', host: 'a' },
    { do: 'settle' },
    { do: 'migrate', guest: 'one', to: 'b', mode: 'postcopy' },
  ],
  expect: [{ that: 'saved-at-least', share: 0.5 }],
}
