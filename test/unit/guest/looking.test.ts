import assert from 'node:assert/strict'

import { Looking } from '../../../src/guest/looking.ts'
import { silentLog } from '../../../src/runtime/log.ts'
import { deferred } from '../../../src/runtime/wait.ts'
import { VirtualClock } from '../../support/time.ts'

describe('looking every so often', () => {
  it('looks once at a time, also where a look takes longer than the time between two, or throws', async () => {
    const clock = new VirtualClock()
    const looks: { end: () => void; fail: (error: Error) => void }[] = []
    const looking = new Looking({ clock, log: silentLog }, {
      everyMs: 1000, failure: 'looking failed',
      lookOnce: () => {
        const look = deferred<void>()
        looks.push({ end: () => look.resolve(), fail: look.reject })
        return look.promise
      },
    })
    const started = looking.start()
    await clock.run(2500)
    assert.equal(looks.length, 1)
    assert.equal(looking.look(), looking.look())
    looks[0]!.fail(new Error('broken'))
    await started
    await clock.run(3500)
    assert.equal(looks.length, 2)
    let isStopped = false
    const stopped = looking.stop().then(() => { isStopped = true })
    await clock.run(9000)
    assert.deepEqual([looks.length, isStopped, clock.pendingCount], [2, false, 0])
    looks[1]!.end()
    await stopped
  })
})
