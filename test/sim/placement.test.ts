import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'

import { churn } from './placementchurn.ts'
import { formatChurn, formatTrial } from './placementreport.ts'
import { BELOW_OPTIMUM_MAX, tryPlacement, type Trial } from './placementtrial.ts'

const PROGRAM = join(import.meta.dirname, 'placement.ts')
/** Enough on a busy machine. */
const TIMEOUT_MS = 300_000
const SMALL = { hosts: 30, guests: 6, pages: 200, seed: 3 }
const nobody = (): void => undefined

describe('placement among thirty hosts', function () {
  this.timeout(TIMEOUT_MS)
  let trial: Trial

  before(() => { trial = tryPlacement(SMALL, true, nobody) })

  it('is within five points of the optimum at every budget', () => {
    assert.deepEqual(trial.budgets.map(({ share }) => share), [0.01, 0.05, 0.1])
    for (const { policy, optimum, share } of trial.budgets) {
      assert.ok(optimum.atDestination - policy.atDestination <= BELOW_OPTIMUM_MAX, `${share}: at the destination`)
      assert.ok(optimum.atPeer - policy.atPeer <= BELOW_OPTIMUM_MAX, `${share}: at some peer`)
      assert.ok(policy.atDestination <= optimum.atDestination + 0.01, `${share}: nothing is better than the optimum`)
    }
  })

  it('beats other ways, by more the more room there is', () => {
    for (const { none, random, recent, policy, share } of trial.budgets) {
      for (const other of [none, random, recent]) {
        assert.ok(policy.atDestination > other.atDestination, formatTrial(trial))
        assert.ok(policy.savedBytes > other.savedBytes, `${share}`)
      }
    }
    const saved = trial.budgets.map(({ policy }) => policy.savedBytes)
    assert.deepEqual(saved, [...saved].sort((one, other) => one - other))
  })

  it('spreads pages by its tail, and costs the head little', () => {
    const at = (headShare: number, tailCopies: number): Trial['settings'][number]['found'] =>
      trial.settings.find((tried) => tried.budgetShare === 0.05 && tried.headShare === headShare &&
        tried.tailCopies === tailCopies)!.found
    assert.ok(at(trial.headShare, trial.tailCopies).atFewPeers > at(1, 1).atFewPeers, formatTrial(trial))
    assert.ok(at(1, 1).atDestination - at(trial.headShare, trial.tailCopies).atDestination < 0.01)
  })

  it('fetches little once stores have filled', () => {
    const churns = churn({ ...SMALL, guests: 10, pages: 100 }, 20, nobody)
    for (const churned of churns) {
      const { fetchedShare, fetchedAgainShare, atDestination, optimalAtDestination } = churned
      const { fetchedPerMigration, savedPerMigration } = churned
      assert.ok(fetchedShare.mean < 0.03, formatChurn(churns))
      assert.ok(fetchedAgainShare < 0.02, formatChurn(churns))
      assert.ok(optimalAtDestination - atDestination <= BELOW_OPTIMUM_MAX, formatChurn(churns))
      assert.ok(fetchedPerMigration < savedPerMigration, formatChurn(churns))
    }
  })
})

describe('npm run sim:placement', function () {
  this.timeout(TIMEOUT_MS)

  async function simulate(...words: string[]): Promise<{ status: number; output: string; errors: string }> {
    const program = spawn(process.execPath, [PROGRAM, ...words], { stdio: ['ignore', 'pipe', 'pipe'] })
    const [output, errors, [status]] = await Promise.all([
      text(program.stdout), text(program.stderr), once(program, 'close') as Promise<[number]>,
    ])
    return { status, output, errors }
  }

  it('prints the same for the same seed, and nothing but one object with --json', async () => {
    const words = ['--hosts', '6', '--guests', '3', '--pages', '50', '--seed', '5', '--intervals', '3']
    const [first, second, forPeople] = await Promise.all([
      simulate(...words, '--json'), simulate(...words, '--json'), simulate(...words),
    ])
    assert.equal(first.output, second.output)
    const outcome = JSON.parse(first.output) as Trial & { churn: unknown[] }
    assert.deepEqual([outcome.seed, outcome.budgets.length, outcome.churn.length], [5, 3, 3])
    assert.match(first.errors, /^ +0\.0 s {2}seed 5: 6 hosts/)
    assert.match(forPeople.output, /Pagemesh .* KiB/)
  })

  it('says what is wrong with its flags', async () => {
    const [wrong, help] = await Promise.all([simulate('--hosts', '1'), simulate('--help')])
    assert.deepEqual([wrong.status, wrong.output, help.status], [2, '', 0])
    assert.match(help.output, /--settings/)
  })
})
