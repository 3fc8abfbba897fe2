/**
 * A few of the faults of `npm run faults`, which strikes for as long as it is asked to. A failed run says its seed:
 * `PAGEMESH_SEED=S mocha test/lab/faults.test.ts`, or `npm run faults -- --seed S`.
 */
import assert from 'node:assert/strict'
import { randomInt } from 'node:crypto'

import { FaultLab } from '../faults/lab.ts'
import { isGood, summaryOf } from '../faults/report.ts'
import { runFaults } from '../faults/run.ts'
import { skipWithoutLab } from '../support/labmove.ts'

const FAULTS = 8
/** No round begins after this time. */
const STRIKING_MS = 45_000
const TIMEOUT_MS = 300_000

describe('faults out of a seed', function () {
  this.timeout(TIMEOUT_MS)
  const seed = Number(process.env['PAGEMESH_SEED'] ?? randomInt(2 ** 31))
  let lab: FaultLab

  before(async function () {
    await skipWithoutLab.call(this)
    console.log(`      PAGEMESH_SEED=${seed}`)
    lab = await FaultLab.create(['idle', 'random'])
  })

  after(async () => { await (lab as FaultLab | undefined)?.close() })

  it('lose no guest, double none, leave nothing', async () => {
    const untilMs = performance.now() + STRIKING_MS
    const report = await runFaults(lab, { seed, faults: FAULTS, untilMs, say: () => {} })
    console.log(`      ${summaryOf({ ...report, failures: [] })}`)
    assert.ok(isGood(report), summaryOf(report))
    assert.ok(report.faults > 0, 'something has struck')
  })
})
