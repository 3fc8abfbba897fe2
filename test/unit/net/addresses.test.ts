import assert from 'node:assert/strict'

import { isOneHosts, plainAddress } from '../../../src/net/addresses.ts'

describe('an address', () => {
  it('has one way of writing', () => {
    assert.equal(plainAddress('10.0.0.2'), '10.0.0.2')
    assert.equal(plainAddress('::FFFF:10.0.0.2'), '10.0.0.2')
    for (const text of ['FD00:0::2', 'fd00::2', 'fd00:0:0:0:0:0:0:2']) assert.equal(plainAddress(text), 'fd00::2')
    for (const text of ['', 'host-b', '10.0.0.300', '010.0.0.1', 'fe80::1%eth0', '10.0.0.2; flush ruleset', '[::1]']) {
      assert.equal(plainAddress(text), undefined, text)
    }
  })

  it('means one host, or another one to each', () => {
    for (const text of ['10.0.0.2', '192.168.1.1', '223.255.255.255', 'fd00::2', '2001:db8::1', '1::']) {
      assert.ok(isOneHosts(text), text)
    }
    const many = [
      '0.0.0.0', '127.0.0.1', '127.64.0.1', '169.254.1.1', '224.0.0.1', '239.1.1.1', '240.0.0.1', '255.255.255.255',
      '::', '::1', '::ffff:a00:1', 'fe80::1', 'feb0::1', 'ff02::1',
    ]
    for (const text of many) assert.ok(!isOneHosts(text), text)
  })
})
