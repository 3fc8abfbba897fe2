import assert from 'node:assert/strict'

import { systemClock } from '../../../src/runtime/clock.ts'
import { HoldFlag } from '../../../src/runtime/holdflag.ts'

describe('a hold flag', () => {
  it('makes others wait until every holder let go, also through shared memory', async () => {
    const flag = new HoldFlag()
    const seenElsewhere = new HoldFlag(flag.shared)
    const first = flag.hold()
    const second = flag.hold()
    let isReleased = false
    const waiting = seenElsewhere.released(systemClock, new AbortController().signal).then(() => { isReleased = true })
    first()
    first()
    await systemClock.sleep(60)
    assert.equal(isReleased, false)
    second()
    await waiting
  })

  it('ends the wait with the signal', async () => {
    const flag = new HoldFlag()
    flag.hold()
    await assert.rejects(flag.released(systemClock, AbortSignal.abort(new Error('enough'))), /enough/)
  })
})
