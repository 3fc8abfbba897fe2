import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'

import { runDay } from './day.ts'
import { AGREEMENT_MIN, CONVERGE_WITHIN, runFaults, type FaultsOutcome } from './faults.ts'
import { formatDay, formatFaults } from './report.ts'
import { World, type WorldInit } from './world.ts'

const PROGRAM = join(import.meta.dirname, 'popularity.ts')
/** Enough on a busy machine. */
const TIMEOUT_MS = 300_000
const SMALL: WorldInit = {
  hosts: 8, guests: 4, pages: 60, seed: 7, intervalMs: 60_000, minHosts: 2, maxPages: 2_000_000,
}
const nobody = (): void => undefined

async function simulate(...words: string[]): Promise<{ status: number; output: string; errors: string }> {
  const program = spawn(process.execPath, [PROGRAM, ...words], { stdio: ['ignore', 'pipe', 'pipe'] })
  const [output, errors, [status]] = await Promise.all([
    text(program.stdout), text(program.stderr), once(program, 'close') as Promise<[number]>,
  ])
  return { status, output, errors }
}

describe('popularity among fifty hosts', function () {
  this.timeout(TIMEOUT_MS)
  let outcome: FaultsOutcome

  before(async () => {
    outcome = await runFaults(new World({ ...SMALL, hosts: 50, seed: 1 }), nobody)
  })

  it('agrees with exact counting on every live host soon after each fault', () => {
    assert.deepEqual(outcome.phases.map(({ name, struck }) => [name, struck]), [
      ['start', 50], ['crash', 5], ['heal', 15], ['join', 1],
    ])
    for (const { name, convergedIntervals, measure } of outcome.phases) {
      assert.ok(convergedIntervals !== null && convergedIntervals <= CONVERGE_WITHIN, `${name}: ${convergedIntervals}`)
      assert.ok(measure.recall.worst >= AGREEMENT_MIN && measure.precision.worst >= AGREEMENT_MIN, name)
      assert.ok(measure.popularPages > 200, `${measure.popularPages}`)
    }
    assert.ok(outcome.recall >= AGREEMENT_MIN && outcome.precision >= AGREEMENT_MIN)
  })

  it('counts the bytes of every account', () => {
    for (const { mean, max } of Object.values(outcome.bytes)) {
      for (const account of ['reportSent', 'reportReceived', 'gossipSent', 'gossipReceived'] as const) {
        assert.ok(mean[account] > 0 && max[account] >= mean[account], account)
      }
    }
    assert.deepEqual(outcome.perHostBytes, outcome.bytes.quiet.mean)
  })

  it('shows a late host the whole view within an interval', () => {
    assert.ok(outcome.lateHostSeconds !== null && outcome.lateHostSeconds.worst <= 60)
  })
})

describe('popularity with a view too small for all', function () {
  this.timeout(TIMEOUT_MS)

  it('keeps the most popular pages', async () => {
    const maxPages = 200
    const outcome = await runFaults(new World({ ...SMALL, maxPages, seed: 2 }), nobody)
    assert.equal(outcome.quiet.popularPages, maxPages)
    assert.ok(outcome.precision >= AGREEMENT_MIN, `${outcome.precision}`)
    assert.ok(outcome.recall >= AGREEMENT_MIN, `${outcome.recall}`)
  })
})

describe('a day of churn', function () {
  this.timeout(TIMEOUT_MS)

  it('leaves no table growing', async () => {
    const outcome = await runDay(new World({ ...SMALL, hosts: 6, guests: 3 }), 120, nobody)
    assert.deepEqual(outcome.grew, [], formatDay(outcome))
    assert.ok(outcome.recall >= 0.9 && outcome.precision >= 0.9, formatDay(outcome))
    assert.ok(Object.keys(outcome.events).length >= 4, 'all sorts of things happened')
  })
})

describe('npm run sim', function () {
  this.timeout(TIMEOUT_MS)
  const words = ['--hosts', '6', '--guests', '3', '--pages', '40', '--seed', '5']

  it('prints the same for the same seed, and nothing but one object with --json', async () => {
    const [first, second] = await Promise.all([simulate(...words, '--json'), simulate(...words, '--json')])
    assert.equal(first.status, 0, first.errors)
    assert.equal(first.output, second.output)
    const outcome = JSON.parse(first.output) as FaultsOutcome
    assert.equal(outcome.seed, 5)
    assert.ok(outcome.recall > 0 && outcome.precision > 0)
    assert.equal(typeof outcome.perHostBytes.reportSent, 'number')
    assert.match(first.errors, /^ +0\.0 s {2}seed 5: 6 hosts/)
    assert.match(formatFaults(outcome), /recall 0\.\d+|recall 1\.0/)
  })

  it('says what is wrong with its flags', async () => {
    for (const wrong of [['--hosts', 'many'], ['--hosts', '0'], ['--nonsense'], ['--scenario', 'week'], ['extra']]) {
      const { status, output, errors } = await simulate(...wrong)
      assert.equal(status, 2, wrong.join(' '))
      assert.equal(output, '')
      assert.notEqual(errors, '')
    }
    const help = await simulate('--help')
    assert.equal(help.status, 0)
    assert.match(help.output, /--hosts <n>.*--guests <n>/s)
  })
})
