import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { getEventListeners } from 'node:events'

import { isoTime, systemClock } from '../../../src/runtime/clock.ts'

describe('the clock of the system', () => {
  it('tells milliseconds of the world, and such as never go back', () => {
    const before = Date.now()
    const wall = systemClock.wallTime()
    assert.ok(wall >= before && wall <= Date.now())
    const first = systemClock.now()
    assert.ok(systemClock.now() >= first && Math.abs(first - performance.now()) < 5_000)
  })

  it('sleeps, and leaves nothing at the signal', async () => {
    const { signal } = new AbortController()
    const begunAt = systemClock.now()
    await systemClock.sleep(15, signal)
    assert.ok(systemClock.now() - begunAt >= 14)
    assert.equal(getEventListeners(signal, 'abort').length, 0)
  })

  it('wakes up with the reason of the signal, before or after it fell asleep', async () => {
    const reason = new Error('enough')
    const abort = new AbortController()
    const asleep = systemClock.sleep(60_000, abort.signal)
    abort.abort(reason)
    await assert.rejects(asleep, reason)
    await assert.rejects(systemClock.sleep(60_000, abort.signal), reason)
    assert.equal(getEventListeners(abort.signal, 'abort').length, 0)
  })

  it('calls once after a while, again and again, or no more', async () => {
    const calls: string[] = []
    const never = systemClock.after(1, () => calls.push('never'))
    never.cancel()
    systemClock.after(1, () => calls.push('once'))
    let seen: () => void
    const thrice = new Promise<void>((resolve) => { seen = resolve })
    const timer = systemClock.every(1, () => {
      calls.push('again')
      if (calls.filter((call) => call === 'again').length === 3) seen()
    })
    await thrice
    timer.cancel()
    await systemClock.sleep(10)
    assert.deepEqual(calls.toSorted(), ['again', 'again', 'again', 'once'])
  })

  it('keeps a process alive while it sleeps, and by no timer', () => {
    const clock = JSON.stringify(new URL('../../../src/runtime/clock.ts', import.meta.url))
    const script = `const { systemClock } = await import(${clock})
      systemClock.after(60_000, () => {})
      systemClock.every(60_000, () => {})
      const abort = new AbortController()
      systemClock.sleep(60_000, abort.signal).catch(() => console.log('woken'))
      void systemClock.sleep(20).then(() => { console.log('slept'); abort.abort() })`
    const { stdout, status } = spawnSync(process.execPath, ['--input-type=module', '-e', script], {
      encoding: 'utf8', timeout: 30_000,
    })
    assert.deepEqual([stdout, status], ['slept\nwoken\n', 0])
  }).timeout(40_000)
})

describe('a moment', () => {
  it('is written as ISO 8601', () => assert.equal(isoTime(1_795_700_557_123), '2026-11-26T13:42:37.123Z'))
})
