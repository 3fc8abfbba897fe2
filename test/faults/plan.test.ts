import assert from 'node:assert/strict'

import { Chance } from '../support/chance.ts'
import { KINDS, kinds, planRound, TARGETS } from './plan.ts'

const ROUNDS = 2000

describe('the plan of the faults', () => {
  const plans = Array.from({ length: ROUNDS }, (_, round) => planRound(new Chance(5).fork(round), 2))
  const strikes = plans.flatMap((plan) => plan.strikes)

  it('is the same for the same seed, and another for another', () => {
    assert.deepEqual(planRound(new Chance(5).fork(17), 2), plans[17])
    assert.notDeepEqual(planRound(new Chance(6).fork(17), 2), plans[17])
  })

  it('has every fault at every host, as often as it weighs', () => {
    const weights = Object.values(KINDS).reduce((sum, { weight }) => sum + weight, 0)
    for (const kind of kinds()) {
      const own = strikes.filter((strike) => strike.kind === kind)
      const share = own.length / strikes.length
      assert.ok(Math.abs(share - KINDS[kind].weight / weights) < 0.03, `${kind}: ${share}`)
      assert.deepEqual([...new Set(own.map(({ target }) => target))].sort(), [...TARGETS].sort())
      assert.ok(own.every(({ lengthMs }) => lengthMs <= KINDS[kind].lengthMsMax))
    }
  })

  it('moves no guest twice at once, and none that stands still in post-copy', () => {
    for (const { moves } of plans) {
      assert.equal(new Set(moves.map(({ guest }) => guest)).size, moves.length)
      assert.ok(moves.every(({ isStill, mode }) => !isStill || mode === 'precopy'))
    }
    assert.ok(plans.some(({ moves }) => moves.length === 2))
  })

  it('leaves kinds out that were not asked for', () => {
    const only = Array.from({ length: 50 }, (_, round) => planRound(new Chance(round), 1, ['cut', 'corrupt']))
    const found = only.flatMap((plan) => plan.strikes.map(({ kind }) => kind))
    assert.deepEqual([...new Set(found)].sort(), ['corrupt', 'cut'])
  })
})
