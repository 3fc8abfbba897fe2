import assert from 'node:assert/strict'

import { addressKey, Admission } from '../../../../src/mesh/admission/admission.ts'

const LIMITS = { roomMax: 6, addressMax: 4, limitMs: 1_000 }
const STRANGE = { host: '10.0.0.1', isKnown: false }
const OTHER = { host: '10.0.0.2', isKnown: false }
const KNOWN = { host: '10.0.0.9', isKnown: true }

describe('the admission of connections that have proved nothing', () => {
  it('lets the oldest silent one of an address go when that address has too many', () => {
    const admission = new Admission<string>(LIMITS)
    for (const name of ['a', 'b', 'c', 'd']) assert.equal(admission.arrive(name, STRANGE, 0), undefined)
    admission.speak('a')
    assert.equal(admission.arrive('e', STRANGE, 0), 'b')
    for (const name of ['c', 'd', 'e']) admission.speak(name)
    assert.equal(admission.arrive('f', STRANGE, 0), 'a')
    assert.equal(admission.size, 4)
  })

  it('lets one of the address with the most go when the room is full', () => {
    const admission = new Admission<string>(LIMITS)
    assert.equal(admission.arrive('own', OTHER, 0), undefined)
    for (const name of ['a', 'b', 'c']) admission.arrive(name, STRANGE, 0)
    for (const name of ['x', 'y']) admission.arrive(name, { host: '10.0.0.3', isKnown: false }, 0)
    assert.equal(admission.arrive('z', { host: '10.0.0.4', isKnown: false }, 0), 'a')
    assert.equal(admission.size, 6)
  })

  it('lets a silent one go before one that speaks, between addresses that have equally many', () => {
    const admission = new Admission<number>({ ...LIMITS, roomMax: 3 })
    for (const index of [1, 2, 3]) admission.arrive(index, { host: `10.0.1.${index}`, isKnown: false }, 0)
    admission.speak(1)
    assert.equal(admission.arrive(4, { host: '10.0.1.4', isKnown: false }, 0), 2)
  })

  it('keeps a member that speaks at once through any number of idle strangers, even of its address', () => {
    const admission = new Admission<string>(LIMITS)
    admission.arrive('member', STRANGE, 0)
    admission.speak('member')
    for (let count = 0; count < 10_000; count += 1) {
      const from = { host: `10.0.0.${count % 50}`, isKnown: false }
      assert.notEqual(admission.arrive(String(count), from, 0), 'member')
    }
    assert.equal(admission.size, LIMITS.roomMax)
    assert.equal(admission.leave('member'), true)
  })

  it('has a room for known addresses that strangers cannot fill', () => {
    const admission = new Admission<string>(LIMITS)
    admission.arrive('member', KNOWN, 0)
    for (let count = 0; count < 100; count += 1) {
      assert.notEqual(admission.arrive(String(count), { host: `10.1.0.${count}`, isKnown: false }, 0), 'member')
    }
    assert.equal(admission.size, LIMITS.roomMax + 1)
  })

  it('tells who has taken too long, the oldest first, and when the next will have', () => {
    const admission = new Admission<string>(LIMITS)
    assert.equal(admission.overdueAt, undefined)
    admission.arrive('a', STRANGE, 0)
    admission.arrive('b', KNOWN, 300)
    admission.arrive('c', OTHER, 600)
    assert.equal(admission.overdueAt, 1_000)
    assert.deepEqual(admission.overdue(999, 9), [])
    assert.deepEqual(admission.overdue(1_300, 9), ['a', 'b'])
    assert.deepEqual(admission.overdue(1_300, 1), ['a'])
    admission.leave('a')
    assert.equal(admission.overdueAt, 1_300)
  })

  it('counts those who left no more, whether they had spoken or not', () => {
    const admission = new Admission<string>(LIMITS)
    for (const name of ['a', 'b', 'c', 'd']) admission.arrive(name, STRANGE, 0)
    for (const name of ['a', 'c']) admission.speak(name)
    for (const name of ['a', 'b', 'c']) assert.equal(admission.leave(name), true)
    for (const name of ['e', 'f', 'g']) assert.equal(admission.arrive(name, STRANGE, 0), undefined)
    for (const name of ['x', 'y']) assert.equal(admission.arrive(name, OTHER, 0), undefined)
    assert.equal(admission.arrive('h', STRANGE, 0), 'd', 'the address is full')
    assert.equal(admission.arrive('z', OTHER, 0), 'e', 'the room is full')
    for (const name of ['f', 'g', 'h', 'x', 'y', 'z']) admission.leave(name)
    assert.equal(admission.size, 0)
    for (const name of ['1', '2', '3', '4']) assert.equal(admission.arrive(name, OTHER, 0), undefined)
    for (const name of ['5', '6']) assert.equal(admission.arrive(name, STRANGE, 0), undefined)
    assert.equal(admission.arrive('7', STRANGE, 0), '1')
  })

  it('lets the first of two equal addresses go, also when each has both kinds', () => {
    for (const [silent, spoken, victim] of [
      [['a1'], ['b1'], 'a1'], [['b1'], ['a1'], 'b1'], [['a1', 'b1'], [], 'a1'], [[], ['a1', 'b1'], 'a2'],
    ] as const) {
      const admission = new Admission<string>({ ...LIMITS, roomMax: 4 })
      for (const name of ['a1', 'a2', 'b1', 'b2']) {
        admission.arrive(name, name.startsWith('a') ? STRANGE : OTHER, 0)
        if (name.endsWith('2')) admission.speak(name)
      }
      for (const name of spoken) admission.speak(name)
      const from = { host: '10.0.0.3', isKnown: false }
      assert.equal(admission.arrive('new', from, 0), victim, `silent: ${silent.join(' ')}`)
    }
  })

  it('forgets whoever left, once', () => {
    const admission = new Admission<string>(LIMITS)
    admission.arrive('a', STRANGE, 0)
    assert.equal(admission.leave('a'), true)
    assert.equal(admission.leave('a'), false)
    admission.speak('a')
    assert.equal(admission.size, 0)
  })
})

describe('what counts as one address', () => {
  it('is an IPv4 address, however it is written', () => {
    assert.equal(addressKey('10.0.0.1'), '10.0.0.1')
    assert.equal(addressKey('::ffff:10.0.0.1'), '10.0.0.1')
    assert.equal(addressKey('no address'), 'no address')
  })

  it('is the first half of an IPv6 address', () => {
    assert.equal(addressKey('2001:db8::1'), '2001:db8:0:0::/64')
    assert.equal(addressKey('2001:0DB8:0:0:1:2:3:4'), '2001:db8:0:0::/64')
    assert.equal(addressKey('fe80::1%eth0'), 'fe80:0:0:0::/64')
    assert.equal(addressKey('::1'), '0:0:0:0::/64')
    assert.equal(addressKey('2001:db8:1:2:3:4:5:6'), '2001:db8:1:2::/64')
    assert.equal(addressKey('1::2:3:4:5:6:7'), '1:0:2:3::/64')
    assert.equal(addressKey('1:2::5:6:7:8'), '1:2:0:0::/64')
    assert.equal(addressKey('1:2:3::8'), '1:2:3:0::/64')
    assert.equal(addressKey('::4:5:6:7:8'), '0:0:0:4::/64')
    assert.equal(addressKey('fe80::1%eth0%1'), 'fe80:0:0:0::/64')
  })
})
