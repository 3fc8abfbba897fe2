import assert from 'node:assert/strict'

import { Departures } from '../../../src/agent/departures.ts'
import { cancelled, Leaving } from '../../../src/agent/leaving.ts'
import { deferred } from '../../../src/runtime/wait.ts'
import type { HandoffProgress, HandoffResult } from '../../../src/transfer/index.ts'
import { progressOf, resultOf } from '../../support/fakeagent.ts'
import { settle } from '../../support/passagerelay.ts'
import { VirtualClock } from '../../support/time.ts'

const DONE = resultOf({ guest: 'web', to: 'b' }, 'completed')
const BUSY: HandoffResult = { ...resultOf({ guest: 'web', to: 'b' }, 'failed'), code: 'busy' }

/** Departures of one guest at once, and what each guest showed. */
function made() {
  const clock = new VirtualClock()
  const departures = new Departures({ clock }, { parallel: 1 })
  const leave = (
    guest: string, run: () => Promise<HandoffResult>, more: { timeoutMs?: number; wait?: boolean } = {},
  ) => {
    const shown: HandoffProgress[] = []
    const { phase: _phase, ...progress } = progressOf({ guest, to: 'b' })
    const leaving = new Leaving({ ...progress, phase: 'preparing' }, (news) => shown.push(news))
    const result = departures.run({ to: 'b', wait: true, ...more }, leaving, run)
    result.catch(() => {})
    return { leaving, result, shown }
  }
  return { clock, departures, leave }
}

describe('guests that leave', () => {
  it('wait no longer than their time-out for a turn, and lose their place', async () => {
    const { clock, leave } = made()
    const moving = deferred<HandoffResult>()
    const first = leave('first', () => moving.promise)
    const second = leave('second', async () => assert.fail('it never had a turn'), { timeoutMs: 5000 })
    const third = leave('third', async () => DONE)
    await clock.run(4999)
    assert.equal(third.shown.at(-1)!.why, '1 guest leaves this host now; 1 before it in the queue')
    await clock.run(5000)
    await assert.rejects(second.result, {
      code: 'timeout', fault: 'usage', phase: 'preparing',
      message: 'second waited in the queue for 5 s: 1 guest leaves this host now; it is the next.',
    })
    assert.equal(third.shown.at(-1)!.why, '1 guest leaves this host now; it is the next')
    moving.resolve(DONE)
    assert.deepEqual(await Promise.all([first.result, third.result]), [DONE, DONE])
  })

  it('ask a destination that is full for ever no longer than their time-out', async () => {
    const { clock, leave } = made()
    let asked = 0
    const busy = async (): Promise<HandoffResult> => {
      asked += 1
      return BUSY
    }
    const web = leave('web', busy, { timeoutMs: 3500 })
    const patient = leave('patient', busy)
    await clock.run(3499)
    assert.equal(web.shown.at(-1)!.phase, 'queued')
    await clock.run(3500)
    await assert.rejects(web.result, {
      code: 'timeout', message: 'web waited in the queue for 3.5 s: b takes no more guests now.',
    })
    const before = asked
    await clock.run(63_500)
    // The other goes on, alone: once a second.
    assert.equal(asked - before, 60)
    patient.leaving.cancel(cancelled())
    await assert.rejects(patient.result, { code: 'cancelled' })
  })

  it('are given up at once if they are told to be busy when their time is over already', async () => {
    const { clock, leave } = made()
    const offered = deferred<HandoffResult>()
    const web = leave('web', () => offered.promise, { timeoutMs: 1000 })
    await clock.run(30_000)
    offered.resolve(BUSY)
    await settle()
    await clock.run(30_000)
    await assert.rejects(web.result, { code: 'timeout' })
  })

  it('have all of their time-out to move in once they have waited', async () => {
    const { clock, leave } = made()
    let tries = 0
    const moving = deferred<HandoffResult>()
    const web = leave('web', async () => ((tries += 1) < 3 ? BUSY : await moving.promise), { timeoutMs: 2500 })
    await clock.run(10_000)
    assert.equal(tries, 3)
    moving.resolve(DONE)
    assert.equal(await web.result, DONE)
  })

  it('wait for as long as it takes without a time-out, and not at all unless they are told to', async () => {
    const { clock, departures, leave } = made()
    const moving = deferred<HandoffResult>()
    const first = leave('first', () => moving.promise)
    await assert.rejects(leave('second', async () => DONE, { wait: false }).result, { code: 'busy' })
    assert.deepEqual(departures.obstacles({}).map(({ code }) => code), ['busy'])
    assert.deepEqual(departures.obstacles({ wait: true }), [])
    const third = leave('third', async () => DONE)
    await clock.run(86_400_000)
    assert.equal(third.shown.at(-1)!.phase, 'queued')
    moving.resolve(DONE)
    assert.deepEqual(await Promise.all([first.result, third.result]), [DONE, DONE])
    assert.equal(third.shown.at(-1)!.phase, 'preparing')
  })
})
