import assert from 'node:assert/strict'
import { getEventListeners } from 'node:events'

import { PagemeshError } from '../../../src/runtime/errors.ts'
import { nextTurn } from '../../../src/runtime/turn.ts'
import { deferred, someAtOnce, waitAtMost, withDeadline, withTimeout } from '../../../src/runtime/wait.ts'
import { VirtualClock } from '../../support/time.ts'

const about = { phase: 'asking', message: 'It took too long.', fault: 'peer', advice: 'Ask again.' } as const

describe('work with a time limit', () => {
  it('gives its result or its error, and leaves no timer', async () => {
    const clock = new VirtualClock()
    assert.equal(await withTimeout(clock, Promise.resolve(5), 100, about), 5)
    await assert.rejects(withTimeout(clock, Promise.reject(new Error('no')), 100, about), /no/)
    assert.equal(clock.pendingCount, 0)
  })

  it('is given up at the limit, with all that the reader can use', async () => {
    const clock = new VirtualClock()
    const errors: unknown[] = []
    void withTimeout(clock, new Promise(() => {}), 100, about).catch((error: unknown) => errors.push(error))
    await clock.run(99)
    assert.equal(errors.length, 0)
    await clock.run(100)
    const [error] = errors
    assert.ok(error instanceof PagemeshError)
    const { code, phase, message, fault, advice, data } = error
    const told = { phase, message, fault, advice }
    assert.deepEqual([code, told, data], ['timeout', about, { limitMs: 100 }])
  })
})

describe('work that is waited for no longer than a while', () => {
  it('is waited for until it is done, or until the while is over; no timer stays', async () => {
    const clock = new VirtualClock()
    await waitAtMost(clock, Promise.resolve(), 100)
    await assert.rejects(waitAtMost(clock, Promise.reject(new Error('no')), 100), /no/)
    assert.equal(clock.pendingCount, 0)
    let isOver = false
    void waitAtMost(clock, new Promise(() => {}), 100).then(() => { isOver = true })
    await clock.run(99)
    assert.equal(isOver, false)
    await clock.run(100)
    assert.equal(isOver, true)
  })
})

describe('work under a signal of its own', () => {
  const limit = (signal: AbortSignal) => ({ signal, limitMs: 100, late: () => new Error('late') })
  const untilAborted = (own: AbortSignal): Promise<never> =>
    new Promise((_resolve, reject) => own.addEventListener('abort', () => reject(own.reason as Error)))

  it('gives its result, and leaves neither timer nor listener', async () => {
    const clock = new VirtualClock()
    const { signal } = new AbortController()
    let during = 0
    const result = await withDeadline(clock, limit(signal), async (own) => {
      during = getEventListeners(signal, 'abort').length
      assert.equal(own.aborted, false)
      return 5
    })
    assert.deepEqual([result, during, clock.pendingCount, getEventListeners(signal, 'abort').length], [5, 1, 0, 0])
  })

  it('keeps timer and listener until it is done', async () => {
    const clock = new VirtualClock()
    const abort = new AbortController()
    const work = withDeadline(clock, limit(abort.signal), untilAborted)
    assert.deepEqual([clock.pendingCount, getEventListeners(abort.signal, 'abort').length], [1, 1])
    abort.abort(new Error('enough'))
    await assert.rejects(work, /enough/)
    assert.deepEqual([clock.pendingCount, getEventListeners(abort.signal, 'abort').length], [0, 0])
  })

  it('aborts with the signal\'s reason, also when that aborted before', async () => {
    const clock = new VirtualClock()
    const aborted = AbortSignal.abort(new Error('before'))
    const seen = await withDeadline(clock, limit(aborted), async (own) => own.reason as unknown)
    assert.match(String(seen), /before/)
  })

  it('aborts at the limit with what is made then', async () => {
    const clock = new VirtualClock()
    let reason: unknown
    const work = withDeadline(clock, limit(new AbortController().signal), untilAborted)
      .catch((error: unknown) => { reason = error })
    await clock.run(99)
    assert.equal(reason, undefined)
    await clock.run(100)
    await work
    assert.match(String(reason), /late/)
  })
})

describe('a promise that is settled from outside', () => {
  it('is settled so, and a rejection that nobody awaits is no error of the process', async () => {
    const good = deferred<number>()
    good.resolve(5)
    assert.equal(await good.promise, 5)
    const bad = deferred<number>()
    bad.reject(new Error('no'))
    // By the next turn Node has told of every rejection that nobody takes, which fails a test.
    await nextTurn()
    await assert.rejects(bad.promise, /no/)
  })
})

describe('a turn', () => {
  it('lets everything else that waits go first', async () => {
    const order: string[] = []
    setImmediate(() => order.push('immediate'))
    process.nextTick(() => order.push('tick'))
    void Promise.resolve().then(() => order.push('promise'))
    await nextTurn()
    assert.deepEqual(order.toSorted(), ['immediate', 'promise', 'tick'])
  })
})

describe('work on some items at once', () => {
  it('is made of each, in order, by no more at a time than are allowed', async () => {
    let running = 0
    let most = 0
    const made = await someAtOnce([5, 3, 1, 4, 2], 2, async (turns) => {
      most = Math.max(most, running += 1)
      for (let turn = 0; turn < turns; turn++) await nextTurn()
      running -= 1
      return 10 * turns
    })
    assert.deepEqual([made, most], [[50, 30, 10, 40, 20], 2])
    assert.deepEqual(await someAtOnce([], 2, async () => assert.fail('there is nothing')), [])
    await assert.rejects(someAtOnce([1, 2], 2, async () => { throw new Error('no') }), /no/)
  })
})
