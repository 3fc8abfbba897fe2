import assert from 'node:assert/strict'

import { MostReported } from '../../../src/popularity/mostreported.ts'
import { VirtualClock } from '../../support/time.ts'

describe('the reports of most members', () => {
  it('are here once one member in eight or fewer is missing, and for as long as that lasts', async () => {
    const clock = new VirtualClock()
    const reported = new MostReported({ clock })
    assert.equal(reported.ms, -1)
    reported.follow(16, 3)
    assert.equal(reported.ms, -1)
    reported.follow(16, 2)
    await clock.run(clock.now() + 1_000)
    reported.follow(16, 0)
    assert.equal(reported.ms, 1_000)
    reported.follow(30, 14)
    assert.equal(reported.ms, -1, 'many have come')
    reported.follow(0, 0)
    assert.equal(reported.ms, 0, 'a host alone waits for nobody')
  })
})
