import assert from 'node:assert/strict'

import { explore } from './handoff/explore.ts'
import { MUTANTS } from './handoff/mutants.ts'
import { FAULTS } from './handoff/truth.ts'

const RUNS = 10_000

describe('the simulation of a handoff notices a conversation that', function () {
  this.timeout(120_000)

  for (const [name, steps] of Object.entries(MUTANTS)) {
    it(name, () => {
      const found = explore({ runs: RUNS, seed: 1, steps, isHasty: true })
      assert.ok(FAULTS.some((fault) => found[fault] > 0), `not noticed within ${RUNS} runs`)
      const [failure] = found.failures
      assert.ok(failure!.trace.some((line) => / truth /.test(line)), 'its trace tells what was found')
    })
  }
})
