import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'

import { explore, traceOf } from './handoff/explore.ts'
import { MUTANTS } from './handoff/mutants.ts'
import { FAULTS } from './handoff/truth.ts'

const PROGRAM = join(import.meta.dirname, 'handoff.ts')
const RUNS = 5000

describe('the conversation of a handoff, explored', function () {
  this.timeout(120_000)

  it('loses, doubles and wedges no guest, reports true results and leaves no setting changed', () => {
    const seed = Math.floor(Math.random() * 2 ** 32)
    process.stderr.write(`    seed ${seed}\n`)
    const found = explore({ runs: RUNS, seed })
    const failure = found.failures[0]
    assert.equal(failure, undefined, failure && `seed ${failure.seed}\n${failure.trace.join('\n')}`)
    assert.deepEqual(FAULTS.map((fault) => found[fault]), [0, 0, 0, 0, 0])
    assert.equal(found.runs, RUNS)
    assert.ok(found.states > 100, `${found.states} pairs of states`)
  })

  it('goes the same way for the same seed', () => {
    assert.deepEqual(traceOf(77), traceOf(77))
    assert.notDeepEqual(traceOf(77), traceOf(78))
  })

  it('shows a failure in a trace, which its seed repeats', () => {
    const steps = MUTANTS['releases without "given up"']!
    const [failure] = explore({ runs: RUNS, seed: 1, steps, isHasty: true }).failures
    assert.deepEqual(traceOf(failure!.seed, steps), failure!.trace)
  })

  it('is a command with a seed, a count and an exit status', () => {
    const { status, stdout, stderr } = spawnSync(process.execPath, [PROGRAM, '--runs', '200', '--seed', '5', '--json'])
    assert.equal(status, 0)
    assert.match(String(stderr), /^seed 5\n/)
    const found = JSON.parse(String(stdout)) as Record<string, unknown>
    assert.deepEqual(Object.keys(found), [
      'runs', 'states', 'lost', 'doubled', 'wedged', 'wrongWords', 'settingsLeft', 'failures',
    ])
    assert.equal(found.runs, 200)
    assert.equal(spawnSync(process.execPath, [PROGRAM, '--runs', 'many']).status, 2)
  })
})
