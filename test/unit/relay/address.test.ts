import assert from 'node:assert/strict'

import { formatRelayAddress, parseRelayAddress } from '../../../src/relay/address.ts'

describe('a relay\'s address', () => {
  for (const text of ['/run/pagemesh/tunnel/web', '127.64.0.2:20500', '[fd00::2]:49152']) {
    it(`is read and written: ${text}`, () => {
      assert.equal(formatRelayAddress(parseRelayAddress(text)!), text)
    })
  }

  it('has one form', () => {
    assert.deepEqual(parseRelayAddress('[FD00:0::2]:49152'), { kind: 'tcp', host: 'fd00::2', port: 49152 })
  })

  const odd = [
    '', 'web', './web', '/', '/run//web', '/run/./web', '/run/../web', '/run/web/', '/run/we\0b', `/${'w'.repeat(107)}`,
    'host-b:80', 'localhost:80', '127.0.0.1', '127.0.0.1:0', '127.0.0.1:65536', '127.1:80', '0x7f.0.0.1:80',
    '[::ffff:127.0.0.1]:80', '[fe80::1%eth0]:80', '::1:80',
  ]
  for (const text of odd) {
    it(`is not ${JSON.stringify(text)}`, () => {
      assert.equal(parseRelayAddress(text), undefined)
    })
  }
})
