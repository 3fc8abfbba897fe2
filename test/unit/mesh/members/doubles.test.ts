import assert from 'node:assert/strict'

import { Doubles } from '../../../../src/mesh/members/doubles.ts'
import { silentLog } from '../../../../src/runtime/log.ts'
import { VirtualClock } from '../../../support/time.ts'

describe('hosts with one identity', () => {
  let clock: VirtualClock
  let doubles: Doubles
  let logged: string[]

  beforeEach(() => {
    clock = new VirtualClock()
    logged = []
    const note = (message: string): void => { logged.push(message) }
    doubles = new Doubles({ clock, log: { ...silentLog, error: note, info: note } })
  })

  it('are one that connects again, or is started anew any number of times', () => {
    assert.equal(doubles.seen('b', 'B', '1'), 'same')
    assert.equal(doubles.seen('b', 'B', '1'), 'same')
    for (const instance of ['2', '3', '4']) {
      assert.equal(doubles.seen('b', 'B', instance), 'newer')
      assert.equal(doubles.seen('b', 'B', instance), 'same')
    }
    assert.deepEqual([doubles.all(), doubles.isDoubled('B'), logged], [[], false, []])
  })

  it('are two if the earlier one comes back, and both are refused', () => {
    doubles.seen('b', 'B', '1')
    assert.equal(doubles.seen('b', 'B', '2'), 'newer')
    for (const instance of ['1', '2', '2', '1']) assert.equal(doubles.seen('b', 'B', instance), 'doubled')
    assert.deepEqual(doubles.all(), [{ name: 'b', peerId: 'B' }])
    assert.equal(doubles.seen('c', 'C', '1'), 'same')
    // A third is one more.
    assert.equal(doubles.seen('b', 'B', '3'), 'doubled')
    assert.deepEqual(logged, ['two hosts run with one identity: both are refused'])
  })

  it('are one again when the others have not been seen for a minute', async () => {
    for (const instance of ['1', '2', '1']) doubles.seen('b', 'B', instance)
    for (let seconds = 0; seconds < 60; seconds += 20) {
      assert.equal(doubles.seen('b', 'B', '1'), 'doubled')
      await clock.run(clock.now() + 20_000)
    }
    assert.equal(doubles.seen('b', 'B', '1'), 'same')
    assert.deepEqual([doubles.all(), doubles.isDoubled('B')], [[], false])
    assert.equal(doubles.seen('b', 'B', '4'), 'newer', 'it may be started anew')
    assert.deepEqual(logged.at(-1), 'an identity is one host\'s again')
  })

  it('are none where both have gone', async () => {
    for (const instance of ['1', '2', '1']) doubles.seen('b', 'B', instance)
    await clock.run(60_000)
    assert.deepEqual(doubles.all(), [])
  })

  it('may be this host itself and another, which is told for a minute and logged once a minute', async () => {
    const self = { name: 'a', peerId: 'A' }
    doubles.met(self)
    doubles.met(self)
    assert.deepEqual([doubles.all(), logged], [[self], ['another host runs with this host\'s identity']])
    await clock.run(59_999)
    assert.deepEqual(doubles.all(), [self])
    await clock.run(60_000)
    assert.deepEqual(doubles.all(), [])
    doubles.met(self)
    assert.equal(logged.length, 2)
  })

  it('are remembered up to a limit', () => {
    for (let host = 0; host < 2_048; host++) doubles.seen(`h${host}`, `P${host}`, '1')
    doubles.seen('h0', 'P0', '1')
    doubles.seen('more', 'More', '1')
    assert.equal(doubles.seen('h0', 'P0', '2'), 'newer', 'it came again after the others')
    assert.equal(doubles.seen('h1', 'P1', '2'), 'same', 'it was forgotten')
    for (let instance = 0; instance < 9; instance++) doubles.seen('many', 'M', String(instance))
    assert.equal(doubles.seen('many', 'M', '0'), 'newer', 'it is forgotten that it was there')
    assert.equal(doubles.seen('many', 'M', '4'), 'doubled')
  })
})
