import assert from 'node:assert/strict'

import { formatHostPort, isUnspecifiedHost, parseHostPort, parseTcpMultiaddr } from '../../../src/net/hostport.ts'

describe('addresses', () => {
  it('are parsed with names, IPv4 and IPv6, and written back', () => {
    const hosts = { '10.0.0.1:4002': '10.0.0.1', '[fd00::1]:4002': 'fd00::1', 'node-1.lan:4002': 'node-1.lan' }
    for (const [text, host] of Object.entries(hosts)) {
      assert.deepEqual(parseHostPort(text), { host, port: 4002 })
      assert.equal(formatHostPort({ host, port: 4002 }), text)
    }
    for (const text of ['', '10.0.0.1', ':1', 'fd00::1:4002', 'host:70000', 'a b:1', '10.0.0.300:1', '[host]:1']) {
      assert.equal(parseHostPort(text), undefined, text)
    }
  })

  it('are found in multiaddrs over TCP, with or without a peer', () => {
    assert.deepEqual(parseTcpMultiaddr('/ip6/fd00::1/tcp/4001/p2p/x'), { host: 'fd00::1', port: 4001 })
    assert.deepEqual(parseTcpMultiaddr('/dns4/node-1.lan/tcp/0'), { host: 'node-1.lan', port: 0 })
    assert.deepEqual(parseTcpMultiaddr('/ip4/10.0.0.1/tcp/65535'), { host: '10.0.0.1', port: 65_535 })
    assert.deepEqual(parseHostPort('10.0.0.1:65535'), { host: '10.0.0.1', port: 65_535 })
    assert.equal(parseHostPort('10.0.0.1:65536'), undefined)
    for (const text of ['/ip4/node-1/tcp/1', '/ip6/10.0.0.1/tcp/1', '/ip4/10.0.0.1/tcp/65536', '/dns/-a/tcp/1']) {
      assert.equal(parseTcpMultiaddr(text), undefined, text)
    }
    for (const text of ['/unix/x', '/ip4/fd00::1/tcp/1', '/ip4/10.0.0.1/tcp/70000', '/ip4/10.0.0.1/udp/1']) {
      assert.equal(parseTcpMultiaddr(text), undefined, text)
    }
  })

  it('may mean every address of the machine', () => {
    assert.deepEqual(['0.0.0.0', '::', '10.0.0.0', '::1'].map(isUnspecifiedHost), [true, true, false, false])
  })
})
