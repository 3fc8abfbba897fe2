import assert from 'node:assert/strict'

import { addressOf } from '../../../src/agent/peeraddress.ts'

describe('the address of a peer', () => {
  const member = { name: 'c', peerId: 'peerC', address: '/ip4/10.0.0.3/tcp/50123' }

  it('is one that it announced, wherever its own connection comes from', () => {
    const hosts = ['10.0.0.2', '10.0.0.3', 'fd00::1']
    const announcedBy = () => hosts.map((host, index) => ({ host, port: index + 1 }))
    assert.equal(addressOf({ announcedBy }, member), '/ip4/10.0.0.3/tcp/2')
    assert.equal(addressOf({ announcedBy }, { ...member, address: '/ip6/fd00::1/tcp/9' }), '/ip6/fd00::1/tcp/3')
    assert.equal(addressOf({ announcedBy }, { ...member, address: '/ip4/10.0.0.9/tcp/9' }), '/ip4/10.0.0.2/tcp/1')
    assert.equal(addressOf({ announcedBy: () => [{ host: 'vm.lan', port: 4 }] }, member), '/dns/vm.lan/tcp/4')
  })

  it('is that of its connection until it has announced itself', () => {
    assert.equal(addressOf({ announcedBy: () => [] }, member), member.address)
  })
})
