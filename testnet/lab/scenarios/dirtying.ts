import type { Scenario } from '../scenario.ts'
import { DEBIAN, SMALL } from './systems.ts'

/** Pre-copy never converges, gives up and leaves the guest at the source; post-copy needs each page once. */
export const dirtying: Scenario = {
  name: 'dirtying-faster-than-the-link',
  title: 'A guest rewrites its memory faster than the link carries it: pre-copy gives up, post-copy moves it',
  hosts: [{ name: 'a', rate: '200Mbit' }, { name: 'b', rate: '200Mbit' }],
  guests: [{ name: 'busy', host: 'a', ...DEBIAN, work: 'dirty' }, { name: 'quiet', host: 'b', ...SMALL }],
  steps: [
    { do: 'settle' },
    {
      do: 'migrate', guest: 'busy', to: 'b', unattended: true, words: ['--timeout', '20', '--max-downtime', '100'],
      ends: 'failed', because: 'longer than 20 s',
    },
    { do: 'migrate', guest: 'busy', to: 'b', mode: 'postcopy' },
  ],
  expect: [],
}
