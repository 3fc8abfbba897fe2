import assert from 'node:assert/strict'

import { HoldFlag } from '../../../src/runtime/holdflag.ts'
import { VirtualClock } from '../../support/time.ts'

describe('a hold flag', () => {
  it('makes others wait until every holder let go, also through shared memory', async () => {
    const clock = new VirtualClock()
    const flag = new HoldFlag()
    const seenElsewhere = new HoldFlag(flag.shared)
    const first = flag.hold()
    const second = flag.hold()
    let isReleased = false
    const waiting = seenElsewhere.released(clock, new AbortController().signal).then(() => { isReleased = true })
    first()
    first()
    await clock.run(1000)
    assert.equal(isReleased, false)
    second()
    // It is seen no later than 20 ms after the last has let go.
    await clock.run(1020)
    await waiting
    await flag.released(clock, new AbortController().signal)
    assert.equal(clock.pendingCount, 0)
  })

  it('ends the wait with the signal', async () => {
    const flag = new HoldFlag()
    flag.hold()
    await assert.rejects(flag.released(new VirtualClock(), AbortSignal.abort(new Error('enough'))), /enough/)
  })
})
