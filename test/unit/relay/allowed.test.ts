import assert from 'node:assert/strict'

import { valueOf } from '../../../src/agent/options.ts'
import { parseRelayAddress } from '../../../src/relay/address.ts'
import { mayDial, parseDialRule, type DialRule } from '../../../src/relay/allowed.ts'

const OWN = {
  hosts: new Set(['10.0.0.2', 'fd00::2', '127.0.0.1']), ports: new Set([4001, 4002, 9464, 20_999]),
  paths: ['/run/pagemesh/control.sock', '/run/pagemesh/control.sock.d', '/run/pagemesh/tunnel/agent'],
}

function may(text: string, rules: readonly string[] | DialRule[] = valueOf({}, 'tunnel.to')): boolean {
  const read = rules.map((rule) => (typeof rule === 'string' ? parseDialRule(rule)! : rule))
  return mayDial(parseRelayAddress(text)!, { rules: read, own: OWN })
}

describe('what a member may have dialled', () => {
  it('is by default what is made for nothing else', () => {
    for (const text of ['/run/pagemesh/tunnel/web', '127.64.0.2:20000', '127.64.255.9:30999']) {
      assert.ok(may(text), text)
    }
    const refused = [
      '/run/pagemesh/tunnel/web/x', '/run/pagemesh/web', '/run/pagemesh/control.sock', '/run/libvirt/libvirt-sock',
      '127.64.0.2:19999', '127.64.0.2:31000', '127.0.0.1:20500', '127.65.0.2:20500', '10.0.0.2:20500', '[::1]:20500',
    ]
    for (const text of refused) assert.ok(!may(text), text)
  })

  it('is what is configured, and nothing beside it', () => {
    const rules = ['/run/vms/*.sock', '10.0.0.2:8102', '[fd00::2]:49152-49215']
    for (const text of ['/run/vms/web.sock', '10.0.0.2:8102', '[fd00::2]:49152', '[fd00::2]:49215']) {
      assert.ok(may(text, rules), text)
    }
    const refused = [
      '/run/vms/web.qmp', '/run/vms/a/b.sock', '10.0.0.2:8103', '10.0.0.3:8102', '[fd00::2]:49216', '127.64.0.2:20500',
    ]
    for (const text of refused) assert.ok(!may(text, rules), text)
    assert.ok(!may('/run/pagemesh/tunnel/web', []))
  })

  it('may be ports at the host\'s own addresses', () => {
    const rules: DialRule[] = [{ kind: 'own', first: 49_152, last: 49_215 }]
    for (const text of ['10.0.0.2:49152', '[fd00::2]:49215']) assert.ok(may(text, rules), text)
    for (const text of ['10.0.0.3:49152', '10.0.0.2:49151', '10.0.0.2:49216']) assert.ok(!may(text, rules), text)
    // What listens there alone was never meant for others.
    for (const text of ['127.0.0.1:49152', '[::1]:49152', '[fe80::2]:49152']) assert.ok(!may(text, rules), text)
  })

  it('is never the agent\'s own', () => {
    const rules = ['/run/pagemesh/*', '/run/pagemesh/*/*', '10.0.0.2:1-65535', '127.64.0.0/16:1-65535']
    const refused = [
      '/run/pagemesh/control.sock', '/run/pagemesh/control.sock.d/room', '/run/pagemesh/tunnel/agent', '10.0.0.2:4001',
      '10.0.0.2:4002', '10.0.0.2:9464', '127.64.0.1:20999',
    ]
    for (const text of refused) assert.ok(!may(text, rules), text)
    assert.ok(may('/run/pagemesh/control.socket', rules))
  })

  const odd = [
    '', 'web', 'host-b:80', '10.0.0.2', '10.0.0.2:0', '10.0.0.2:9-8', '10.0.0.2:1-65536', '*:80', '/run/../x',
    '10.0.0.0/8:80', '[::ffff:10.0.0.2]:80',
  ]
  for (const text of odd) it(`has no rule ${JSON.stringify(text)}`, () => assert.equal(parseDialRule(text), undefined))
})
