import assert from 'node:assert/strict'

import { VirtualClock } from './time.ts'

describe('virtual time', () => {
  it('runs events in order of time, and of their creation', async () => {
    const clock = new VirtualClock()
    const ran: string[] = []
    for (const delay of [30, 10, 20, 10, 0]) clock.after(delay, () => ran.push(`${delay} at ${clock.now()}`))
    clock.after(15, () => { clock.after(0, () => ran.push('made later')) })
    await clock.run(20)
    assert.deepEqual(ran, ['0 at 0', '10 at 10', '10 at 10', 'made later', '20 at 20'])
    await clock.run(1000)
    assert.equal(clock.now(), 1000)
    assert.equal(ran.at(-1), '30 at 30')
  })

  it('lets promises settle before the next event, however long their chain', async () => {
    const clock = new VirtualClock()
    let seenAt = -1
    clock.after(1, () => {
      let chain = Promise.resolve()
      for (let link = 0; link < 100; link++) chain = chain.then(() => undefined)
      void chain.then(() => { seenAt = clock.now() })
    })
    clock.after(2, () => undefined)
    await clock.run(5)
    assert.equal(seenAt, 1)
  })

  it('forgets cancelled events and frees their memory', async () => {
    const clock = new VirtualClock()
    let count = 0
    for (let i = 0; i < 10_000; i++) clock.after(5 + (i % 7), () => { count += 1 }).cancel()
    clock.after(20, () => { count += 100 })
    const tick = clock.every(10, () => { count += 1000 })
    await clock.run(25)
    assert.equal(count, 2100)
    tick.cancel()
    await clock.run(100)
    assert.equal(count, 2100)
    assert.equal(clock.eventCount, 3)
  })

  it('wakes sleepers in time, or as soon as their signal aborts', async () => {
    const clock = new VirtualClock()
    const abort = new AbortController()
    const sleep = clock.sleep(1000, abort.signal)
    clock.after(10, () => abort.abort(new Error('enough')))
    await assert.rejects(clock.complete(sleep), /enough/)
    assert.ok(clock.now() < 50)
    await clock.complete(clock.sleep(100))
    await assert.rejects(clock.sleep(1, abort.signal), /enough/)
  })
})
