import assert from 'node:assert/strict'

import {
  cancelled, failure, Leaving, NOTHING_YET, nothingToRecover, withProgress,
} from '../../../src/agent/leaving.ts'
import { ProgressMeter } from '../../../src/agent/progressmeter.ts'
import type { Reason } from '../../../src/conversation/index.ts'
import type { Outgoing } from '../../../src/handoff/index.ts'
import { PagemeshError } from '../../../src/runtime/errors.ts'
import type { HandoffProgress } from '../../../src/transfer/index.ts'
import { progressOf, resultOf } from '../../support/fakeagent.ts'
import { VirtualClock } from '../../support/time.ts'

const ABOUT = { guest: 'web', from: 'a', to: 'b', mode: 'precopy' } as const
const STOPPED: Reason = { code: 'agent-stopped', fault: 'cancelled', message: 'The agent was stopped.' }

function made(): { leaving: Leaving; outgoing: Outgoing; cancels: Reason[] } {
  const cancels: Reason[] = []
  const outgoing = { cancel: (reason: Reason) => cancels.push(reason) } as unknown as Outgoing
  return { leaving: new Leaving(progressOf({ guest: 'web', to: 'b' })), outgoing, cancels }
}

describe('a guest that is leaving', () => {
  it('is cancelled through its outgoing end, once there is one', () => {
    const { leaving, outgoing, cancels } = made()
    leaving.follow(outgoing)
    assert.deepEqual(cancels, [])
    leaving.cancel(STOPPED)
    assert.deepEqual(cancels, [STOPPED])
    assert.ok(!leaving.signal.aborted)
  })

  it('is cancelled before that by its signal, and its outgoing end hears the first reason all the same', () => {
    const { leaving, outgoing, cancels } = made()
    leaving.cancel(STOPPED)
    leaving.cancel(cancelled())
    assert.throws(
      () => leaving.signal.throwIfAborted(), { code: 'agent-stopped', fault: 'cancelled', phase: 'preparing' },
    )
    leaving.follow(outgoing)
    assert.deepEqual(cancels, [STOPPED])
  })

  it('that failed before anything began says why, and whether that was wanted', () => {
    const failed = failure(ABOUT, nothingToRecover('web'))
    assert.deepEqual([failed.status, failed.code, failed.guest], ['failed', 'nothing-to-recover', 'web'])
    assert.match(failed.reason!, /No post-copy of a guest named web.*`pagemesh history` tells which\.$/)
    assert.equal(failure(ABOUT, new PagemeshError('cancelled', 'x', { fault: 'cancelled' })).status, 'cancelled')
  })

  it('can be listened to while it runs', async () => {
    const heard: number[] = []
    let tell: (progress: HandoffProgress) => void = () => {}
    const result = resultOf({ guest: 'web', to: 'b' }, 'completed')
    const ending = Promise.withResolvers<typeof result>()
    const handoff = withProgress((onProgress) => {
      tell = onProgress
      return ending.promise
    })
    assert.equal(handoff.on('progress', ({ percent }) => heard.push(percent)), handoff)
    tell({ ...progressOf({ guest: 'web', to: 'b' }), percent: 7 })
    ending.resolve(result)
    assert.equal(await handoff, result)
    assert.deepEqual(heard, [7])
  })
})

describe('a meter of progress', () => {
  const measure = { ...NOTHING_YET, phase: 'precopy' as const, totalBytes: 1000, remainingBytes: 1000 }

  it('begins with nothing', () => {
    assert.deepEqual(new ProgressMeter({ clock: new VirtualClock() }, ABOUT).measure(NOTHING_YET), {
      ...ABOUT, phase: 'preparing', elapsedMs: 0, percent: 0, qemuBytes: 0, wireBytes: 0, wireBytesPerSecond: 0,
      remainingBytes: 0,
    })
  })

  it('counts percents of what remains, within bounds', () => {
    const meter = new ProgressMeter({ clock: new VirtualClock() }, ABOUT)
    const percents = [1000, 750, 0, 1500].map((remainingBytes) => meter.measure({ ...measure, remainingBytes }).percent)
    assert.deepEqual(percents, [0, 25, 100, 0])
    assert.equal(meter.measure({ ...measure, remainingBytes: -1 }).percent, 100)
  })

  it('tells why pre-copy does not end, once it has made two passes', async () => {
    const clock = new VirtualClock()
    const meter = new ProgressMeter({ clock }, ABOUT)
    const why = (more: Partial<typeof measure>): [number | undefined, number | undefined] => {
      const { dirtyBytesPerSecond, carriedBytesPerSecond } = meter.measure({ ...measure, ...more })
      return [dirtyBytesPerSecond, carriedBytesPerSecond]
    }
    const fast = { passes: 3, dirtyBytesPerSecond: 80e6 }
    assert.deepEqual(why(fast), [undefined, undefined], 'no rate is known yet')
    await clock.run(1000)
    assert.deepEqual(why({ ...fast, qemuBytes: 60e6 }), [80e6, 60e6])
    assert.deepEqual(why({ ...fast, qemuBytes: 60e6, passes: 2 }), [undefined, undefined])
    assert.deepEqual(why({ ...fast, qemuBytes: 60e6, dirtyBytesPerSecond: 59e6 }), [undefined, undefined])
    assert.deepEqual(why({ ...fast, qemuBytes: 60e6, phase: 'postcopy' as never }), [undefined, undefined])
  })

  it('tells the rate of the last second, not of all the time', async () => {
    const clock = new VirtualClock()
    const meter = new ProgressMeter({ clock }, ABOUT)
    const rates: number[] = []
    for (const [at, wireBytes] of [[0, 0], [500, 1000], [1000, 2000], [2000, 2000], [3000, 8000]] as const) {
      await clock.run(at)
      const { wireBytesPerSecond, elapsedMs } = meter.measure({ ...measure, wireBytes })
      assert.equal(elapsedMs, at)
      rates.push(wireBytesPerSecond)
    }
    assert.deepEqual(rates, [0, 2000, 2000, 0, 6000])
  })
})
