import assert from 'node:assert/strict'

import { chooseMembers, MEMBERS_MAX, type MetMember } from '../../../src/intercept/chosen.ts'

const HOST = { ownAddresses: ['127.0.0.1', '10.0.0.1', '::1', 'FD00::1'], ports: [{ first: 49_152, last: 49_215 }] }

function met(name: string, address: string, ...agentPorts: number[]): MetMember {
  return { name, address, agentPorts }
}

describe('whose addresses are intercepted', () => {
  it('is each member\'s, at the address over which it is connected', () => {
    const chosen = chooseMembers([
      met('b', '/ip4/10.0.0.2/tcp/4001', 4001, 4002), met('c', '/ip6/FD00:0::3/tcp/50000/p2p/12D3KooWx', 4001),
      met('d', '/ip6/::ffff:10.0.0.4/tcp/4001'),
    ], HOST)
    assert.deepEqual([...chosen], [['10.0.0.2', 'b'], ['fd00::3', 'c'], ['10.0.0.4', 'd']])
    // A member that comes to us has any port, one of these too.
    assert.equal(chooseMembers([met('b', '/ip4/10.0.0.2/tcp/49153')], HOST).size, 1)
  })

  it('is none that two members have', () => {
    const two = [
      met('b', '/ip4/10.0.0.2/tcp/4001'), met('c', '/ip6/::ffff:10.0.0.2/tcp/4101'), met('d', '/ip4/10.0.0.4/tcp/1'),
    ]
    assert.deepEqual([...chooseMembers(two, HOST)], [['10.0.0.4', 'd']])
    assert.deepEqual([...chooseMembers([two[0]!, ...two], HOST)], [['10.0.0.4', 'd']])
  })

  it('is none of this host, and none that means another host elsewhere', () => {
    const addresses = [
      '/ip4/10.0.0.1/tcp/4001', '/ip6/fd00::1/tcp/4001', '/ip4/127.0.0.1/tcp/4001', '/ip6/::1/tcp/4001',
      '/ip4/0.0.0.0/tcp/1', '/ip6/fe80::2/tcp/1', '/dns4/host-b/tcp/4001', '/memory/b', '',
    ]
    assert.equal(chooseMembers(addresses.map((address, index) => met(`m${index}`, address)), HOST).size, 0)
  })

  it('is none whose agent listens at such a port', () => {
    assert.equal(chooseMembers([met('b', '/ip4/10.0.0.2/tcp/4001', 4001, 49_215)], HOST).size, 0)
    assert.equal(chooseMembers([met('b', '/ip4/10.0.0.2/tcp/4001', 4001, 49_216)], HOST).size, 1)
  })

  it('is bounded', () => {
    const many = Array.from({ length: MEMBERS_MAX + 1 }, (_, i) => met(`m${i}`, `/ip4/10.1.${i >> 8}.${i & 255}/tcp/1`))
    assert.equal(chooseMembers(many, HOST).size, MEMBERS_MAX)
  })
})
