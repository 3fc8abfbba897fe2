import assert from 'node:assert/strict'

import { NamePins, PIN_LIMITS } from '../../../../src/mesh/members/namepins.ts'
import { silentLog } from '../../../../src/runtime/log.ts'
import { VirtualClock } from '../../../support/time.ts'

function made() {
  const clock = new VirtualClock()
  const errors: string[] = []
  const warnings: unknown[] = []
  const pins = new NamePins({ clock, log: {
    ...silentLog,
    error: (message) => { errors.push(`${clock.now()} ${message}`) },
    warn: (message, fields) => { warnings.push([message, fields]) },
  } })
  let changes = 0
  pins.onChange = () => { changes += 1 }
  return { clock, errors, warnings, pins, changes: () => changes }
}

describe('the identities of names', () => {
  it('are those that proved the key first, and stay so', () => {
    const { pins, changes } = made()
    pins.trust('b', 'peerB')
    pins.trust('b', 'peerX')
    pins.trust('b', 'peerB')
    assert.deepEqual([pins.holderOf('b'), pins.holderOf('c'), changes()], ['peerB', undefined, 1])
    const again = made().pins
    again.load(pins.pins())
    again.trust('b', 'peerX')
    assert.equal(again.holderOf('b'), 'peerB')
  })

  it('change when an operator accepts the one that claims a name', () => {
    const { pins, changes } = made()
    pins.trust('b', 'peerB')
    assert.throws(() => pins.accept('b'), { code: 'no-claim' })
    pins.refuse('b', 'peerX')
    assert.deepEqual(pins.accept('b'), { peerId: 'peerX', before: 'peerB' })
    assert.deepEqual([pins.holderOf('b'), pins.claims(), changes()], ['peerX', [], 2])
  })

  it('are not guessed where several claim a name', () => {
    const { pins } = made()
    pins.trust('b', 'peerB')
    for (const peerId of ['peerX', 'peerY', 'peerX']) pins.refuse('b', peerId)
    assert.deepEqual(pins.claims().map(({ peerId, count }) => [peerId, count]), [['peerY', 1], ['peerX', 2]])
    assert.throws(() => pins.accept('b'), { code: 'several-claims', data: { name: 'b', claims: ['peerY', 'peerX'] } })
    assert.equal(pins.holderOf('b'), 'peerB')
    assert.equal(pins.accept('b', 'peerY').peerId, 'peerY')
    assert.deepEqual([pins.claims(), pins.claimCount], [[], 3])
  })

  it('can be named that nobody claims yet', () => {
    const { pins } = made()
    assert.deepEqual(pins.accept('b', 'peerB'), { peerId: 'peerB', before: undefined })
    pins.trust('b', 'peerX')
    assert.equal(pins.holderOf('b'), 'peerB')
  })

  it('are this host\'s own for its own name', () => {
    const { pins, changes, warnings } = made()
    pins.trust('a', 'peerX')
    pins.own('a', 'peerA')
    pins.own('a', 'peerA')
    assert.deepEqual([pins.holderOf('a'), changes(), warnings.length], ['peerA', 2, 1])
    const fresh = made()
    fresh.pins.own('a', 'peerA')
    assert.deepEqual([fresh.pins.holderOf('a'), fresh.changes(), fresh.warnings], ['peerA', 1, []])
  })

  it('log a claim at once, and one that goes on once a minute', async () => {
    const { clock, errors, pins } = made()
    pins.trust('b', 'peerB')
    const told: string[] = []
    pins.onClaim = ({ peerId }) => told.push(peerId)
    for (let second = 0; second < 130; second++) {
      pins.refuse('b', 'peerX')
      await clock.run(clock.now() + 1000)
    }
    const line = 'a host was refused: its name belongs to another identity'
    assert.deepEqual(errors, [`0 ${line}`, `60000 ${line}`, `120000 ${line}`])
    assert.deepEqual([pins.claimCount, told.length], [130, 130])
    const last = Date.UTC(2026, 0, 1) + 129_000
    assert.deepEqual(pins.claims(), [{ name: 'b', peerId: 'peerX', count: 130, last }])
  })

  it('say since when they are, and are told as copies', async () => {
    const { clock, pins } = made()
    pins.trust('b', 'peerB')
    await clock.run(5_000)
    pins.trust('b', 'peerB')
    const [pin] = pins.pins()
    assert.deepEqual(pin, { name: 'b', peerId: 'peerB', since: Date.UTC(2026, 0, 1) })
    pin.peerId = 'changed'
    assert.equal(pins.holderOf('b'), 'peerB')
  })

  it('are four for one host at most: it loses the one that it was given longest ago', () => {
    const { pins } = made()
    for (const name of ['b1', 'b2', 'b3', 'b4']) pins.trust(name, 'peerB')
    pins.accept('b1', 'peerB')
    pins.trust('b5', 'peerB')
    assert.deepEqual(pins.pins().map(({ name }) => name), ['b3', 'b4', 'b1', 'b5'])
  })

  it('are bounded, for one host and for all, and none that stands is dropped for another host\'s', () => {
    const { pins, errors } = made()
    pins.trust('old', 'peerB')
    for (let n = 0; n < PIN_LIMITS.pins + 10; n++) pins.trust(`x${n}`, 'peerX')
    assert.deepEqual(pins.pins().filter(({ peerId }) => peerId === 'peerX').map(({ name }) => name),
      ['x4102', 'x4103', 'x4104', 'x4105'])
    for (let n = 0; n < PIN_LIMITS.pins + 10; n++) pins.trust(`y${n}`, `peer${n}`)
    assert.deepEqual([pins.pins().length, pins.holderOf('old'), errors.length], [PIN_LIMITS.pins, 'peerB', 1])
    for (let n = 0; n < PIN_LIMITS.claims + 10; n++) pins.refuse('old', `peer${n}`)
    assert.equal(pins.claims().length, PIN_LIMITS.claims)
    assert.equal(pins.claims()[0]!.peerId, 'peer10', 'those who claimed longest ago are forgotten')
    assert.deepEqual(PIN_LIMITS, { pins: 4096, namesPerPeer: 4, claims: 256 })
    const again = made()
    again.pins.load([...pins.pins(), { name: 'more', peerId: 'peerM', since: 0 }])
    assert.deepEqual([again.pins.pins().length, again.pins.holderOf('more')], [PIN_LIMITS.pins, undefined])
  })
})
