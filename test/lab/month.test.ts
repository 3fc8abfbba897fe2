/**
 * A few days of the month of `npm run month`, with played guests: what must come back to where it was does so at once.
 */
import assert from 'node:assert/strict'
import { randomInt } from 'node:crypto'

import { MonthLab } from '../month/lab.ts'
import { summaryOf } from '../month/report.ts'
import { runMonth } from '../month/run.ts'

const WANTED = { guests: 'played', handoffs: 12, joins: 6, strangers: 90, days: 3 } as const
/** Strangers who outlast the hosts would take longer than all the rest. */
const PATIENCE_MS_MAX = 3000
const TIMEOUT_MS = 300_000

describe('a few days of a month', function () {
  this.timeout(TIMEOUT_MS)
  const seed = Number(process.env['PAGEMESH_SEED'] ?? randomInt(2 ** 31))
  let lab: MonthLab

  before(async () => {
    console.log(`      PAGEMESH_SEED=${seed}`)
    lab = await MonthLab.create({ ...WANTED, seed, patienceMsMax: PATIENCE_MS_MAX })
  })

  after(async () => { await (lab as MonthLab | undefined)?.close() })

  it('leave three agents with the descriptors, threads and timers that they had', async () => {
    const report = await runMonth(lab, { ...WANTED, seed, say: (line) => console.log(`      ${line}`) })
    console.log(summaryOf(report).replaceAll(/^/gm, '      '))
    assert.deepEqual(report.failures, [])
    assert.ok(report.handoffs >= WANTED.handoffs)
    assert.equal(report.compared, WANTED.days)
  })
})
