import assert from 'node:assert/strict'

import { Machine } from '../../../src/handoff/machine.ts'
import { deferred } from '../../../src/runtime/wait.ts'
import { VirtualClock } from '../../support/time.ts'

interface State { at: string; seen: readonly string[] }
type Effect = string | { promise: Promise<void>; name: string }

/** A machine whose state is the events so far; `to NAME` moves it, and `effects` says what an event leads to. */
function made(effects: Record<string, Effect[]> = {}) {
  const clock = new VirtualClock()
  const log: string[] = []
  const errors: unknown[] = []
  const machine: Machine<State, string, Effect> = new Machine<State, string, Effect>({ clock }, {
    state: { at: 'begin', seen: [] },
    step: (state, event) => ({
      state: { at: event.startsWith('to ') ? event.slice(3) : state.at, seen: [...state.seen, event] },
      effects: effects[event] ?? [],
    }),
    perform: (effect) => {
      if (typeof effect !== 'string') return effect.promise.finally(() => { log.push(effect.name) })
      log.push(effect)
      if (effect === 'throw') throw new Error('thrown')
      if (effect.startsWith('send ')) machine.send(effect.slice(5))
      if (effect.startsWith('wait ')) machine.wait(Number(effect.slice(5)), 'late')
      return effect === 'reject' ? Promise.reject(new Error('rejected')) : undefined
    },
    onError: (error) => errors.push(error),
    onState: ({ at, seen }) => log.push(`${at}: ${seen.at(-1)}`),
  })
  return { clock, machine, log, errors }
}

describe('a machine', () => {
  it('does with an event at once what needs no waiting', () => {
    const { machine, log } = made({ go: ['one', 'two'] })
    machine.send('go')
    assert.deepEqual(log, ['begin: go', 'one', 'two'])
    assert.deepEqual(machine.state, { at: 'begin', seen: ['go'] })
  })

  it('takes one event after the other, though an effect brings the next', () => {
    const { machine, log } = made({ go: ['send next', 'two'], next: ['three'] })
    machine.send('go')
    assert.deepEqual(log, ['begin: go', 'send next', 'two', 'begin: next', 'three'])
  })

  it('waits for an effect that takes time, before the next effect and the next event', async () => {
    const written = deferred<void>()
    const { machine, log, clock } = made({ go: [{ name: 'written', promise: written.promise }, 'said'] })
    machine.send('go')
    machine.send('next')
    await clock.run(1)
    assert.deepEqual(log, ['begin: go'])
    assert.deepEqual(machine.state.seen, ['go'])
    written.resolve()
    await clock.run(2)
    assert.deepEqual(log, ['begin: go', 'written', 'said', 'begin: next'])
  })

  it('goes on though an effect fails, and tells', async () => {
    const { machine, log, errors, clock } = made({ go: ['throw', 'reject', 'after'] })
    machine.send('go')
    machine.send('next')
    await clock.run(1)
    assert.deepEqual(log, ['begin: go', 'throw', 'reject', 'after', 'begin: next'])
    assert.deepEqual(errors.map(String), ['Error: thrown', 'Error: rejected'])
  })

  it('sends what was waited for, in time', async () => {
    const { machine, clock } = made()
    machine.wait(100, 'late')
    await clock.run(99)
    assert.deepEqual(machine.state.seen, [])
    await clock.run(100)
    assert.deepEqual(machine.state.seen, ['late'])
    await clock.run(1000)
    assert.deepEqual(machine.state.seen, ['late'])
  })

  it('waits no more once it has moved on, but does while it stays', async () => {
    const { machine, clock } = made()
    machine.wait(100, 'late')
    machine.send('same')
    await clock.run(50)
    machine.send('to elsewhere')
    await clock.run(1000)
    assert.deepEqual(machine.state.seen, ['same', 'to elsewhere'])
    machine.wait(100, 'late')
    machine.send('same')
    await clock.run(1100)
    assert.equal(machine.state.seen.at(-1), 'late')
  })

  it('waits for one thing, the last', async () => {
    const { machine, clock } = made()
    machine.wait(100, 'first')
    machine.wait(200, 'second')
    await clock.run(1000)
    assert.deepEqual(machine.state.seen, ['second'])
  })

  it('begins to wait in the state that an event led to', async () => {
    const { machine, clock } = made({ 'to there': ['wait 100'] })
    machine.send('to there')
    await clock.run(100)
    assert.deepEqual(machine.state.seen, ['to there', 'late'])
  })

  it('goes on from elsewhere: first the effects of that, then whatever was sent', async () => {
    const written = deferred<void>()
    const { machine, log, clock } = made()
    machine.goOn(
      { state: { at: 'later', seen: ['x'] }, effects: [{ name: 'written', promise: written.promise }, 'said'] },
    )
    assert.equal(machine.state.at, 'later')
    machine.send('next')
    await clock.run(1)
    assert.deepEqual(log, ['later: x'])
    written.resolve()
    await clock.run(2)
    assert.deepEqual(log, ['later: x', 'written', 'said', 'later: next'])
  })

  it('waits for nothing once it was stopped', async () => {
    const { machine, clock } = made()
    machine.wait(100, 'late')
    machine.stop()
    await clock.run(1000)
    assert.deepEqual(machine.state.seen, [])
  })
})
