/**
 * A guest with a disk is moved between two agents, and a strike happens around its switchover. Judged from outside, by
 * what both QEMUs tell another client: no copy lost or doubled, no agent wedged, true results, settings restored.
 *
 *   npm run test:lifecycle                                        200 cancels, 60 ends, 60 kills
 *   PAGEMESH_CANCELS=500 PAGEMESH_ENDS=0 PAGEMESH_KILLS=0 npx mocha test/lifecycle/rounds.test.ts
 *   PAGEMESH_SEED=12345 ...                                       the same moments again
 */
import assert from 'node:assert/strict'
import { randomInt } from 'node:crypto'

import { histogram } from './aim.ts'
import { Rounds } from './rounds.ts'
import { Canceller, CRASH, MANAGER, type Striker } from './strikers.ts'
import { travels } from './travels.ts'

/** For repairs after a failure. */
const REST_TIMEOUT_MS = 120_000
/** A successful round takes two or three seconds, a failed one up to a minute. */
const ROUND_TIMEOUT_MS = 75_000

interface RoundsCase {
  striker: Striker
  title: string
  /** Rounds in `npm test`; PAGEMESH_CANCELS and so on override it. */
  count: number
}

const CASES: readonly RoundsCase[] = [
  {
    striker: new Canceller(), title: 'is cancelled by its operator, from 150 ms before its STOP to 150 ms after',
    count: Number(process.env['PAGEMESH_CANCELS'] ?? 6),
  },
  {
    striker: MANAGER, title: 'has its source QEMU ended by a manager as soon as that says completed',
    count: Number(process.env['PAGEMESH_ENDS'] ?? 3),
  },
  {
    striker: CRASH, title: 'has its source QEMU killed 0 to 60 ms after its STOP',
    count: Number(process.env['PAGEMESH_KILLS'] ?? 3),
  },
]

describe('a guest at its switchover', function () {
  const seed = Number(process.env['PAGEMESH_SEED'] ?? randomInt(2 ** 31))
  const made = travels()
  before(() => console.log(`      PAGEMESH_SEED=${seed}`))

  for (const [index, { striker, title, count }] of CASES.entries()) {
    if (count === 0) continue
    it(`${title}, ${count} times`, async function () {
      this.timeout(REST_TIMEOUT_MS + (count + 1) * ROUND_TIMEOUT_MS)
      const rounds = new Rounds(made.hosts, made.guest, striker)
      const startedAt = performance.now()
      await rounds.run(seed + index, count)
      const { report } = rounds
      const seconds = ((performance.now() - startedAt) / 1000 / (count + 1)).toFixed(1)
      const told = `PAGEMESH_SEED=${seed}: ${report.rounds} rounds of ${striker.name} at ${seconds} s, ` +
        `ms from STOP {${histogram(report.struckMs)}}, ` +
        `moves ${JSON.stringify(report.ends)}, faults ${JSON.stringify(report.counts)}`
      console.log(`      ${told}`)
      assert.equal(report.failures.length, 0, `${told}\n${report.failures.join('\n\n')}`)
    })
  }
})
