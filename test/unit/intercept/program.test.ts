import assert from 'node:assert/strict'

import { createTable, explainNft, fillTables, readTable } from '../../../src/intercept/program.ts'

const PORTS = [{ first: 49_152, last: 49_215 }, { first: 8102, last: 8102 }]

describe('what nft is told', () => {
  it('is one line, with a rule for each listener', () => {
    const both = createTable({
      ports: PORTS, listeners: [{ host: '127.64.0.1', port: 20_000 }, { host: '::1', port: 20_001 }],
    })
    assert.equal(both, 'table inet pagemesh { flags owner; ' +
      'set four { type ipv4_addr; }; set six { type ipv6_addr; }; chain out { type nat hook output priority -100; ' +
      'ip daddr @four tcp sport != 20016-20079 tcp dport { 49152-49215, 8102 } dnat ip to 127.64.0.1:20000; ' +
      'ip6 daddr @six tcp sport != 20016-20079 tcp dport { 49152-49215, 8102 } dnat ip6 to [::1]:20001; }; }')
    assert.doesNotMatch(createTable({ ports: PORTS, listeners: [{ host: '127.64.0.1', port: 20_000 }] }), /ip6 daddr/)
  })

  it('puts each address into its set, instead of what was there', () => {
    assert.equal(fillTables({ addresses: ['10.0.0.2', 'fd00::2', '10.0.0.3'], keep: false }),
      'flush set inet pagemesh four; flush set inet pagemesh six; ' +
      'add element inet pagemesh four { 10.0.0.2, 10.0.0.3 }; add element inet pagemesh six { fd00::2 }; ' +
      'table inet pagemesh_keep; delete table inet pagemesh_keep')
    assert.equal(fillTables({ addresses: [], keep: true }),
      'flush set inet pagemesh four; flush set inet pagemesh six; ' +
      'table inet pagemesh_keep { chain out { type nat hook output priority 100; }; }; ' +
      'flush chain inet pagemesh_keep out; add rule inet pagemesh_keep out ct state new counter')
  })
})

describe('what nft answers', () => {
  const listed = (elements: string): string =>
    `table inet pagemesh { # progname nft\n\tflags owner\n\n\tset four {\n\t\ttype ipv4_addr\n${elements}\t}\n\n` +
    '\tset six {\n\t\ttype ipv6_addr\n\t\telements = { fd00::2,\n\t\t\t     fd00::3 }\n\t}\n\n\tchain out {\n\t}\n}\n'

  it('is read as the addresses in the table, however it breaks the lines', () => {
    const four = '\t\telements = { 10.0.0.3, 10.0.0.2 }\n'
    assert.deepEqual(readTable(listed(four)), ['10.0.0.2', '10.0.0.3', 'fd00::2', 'fd00::3'])
    assert.deepEqual(readTable(listed('')), ['fd00::2', 'fd00::3'])
  })

  it('is waited for until it is whole', () => {
    const text = listed('\t\telements = { 10.0.0.2 }\n')
    for (let length = 0; length < text.length - 1; length++) assert.equal(readTable(text.slice(0, length)), undefined)
    assert.notEqual(readTable(text), undefined)
    assert.equal(readTable('table inet other {\n}\n'), undefined)
  })

  it('is read in a time that grows as its length does', () => {
    const begunAt = performance.now()
    assert.equal(readTable('table inet pagemesh {\n'.repeat(20_000)), undefined)
    assert.ok(performance.now() - begunAt < 2000)
  })

  it('is explained where it is an error', () => {
    const root = 'Operation not permitted (you must be root)\n' +
      'netlink: Error: cache initialization failed: Operation not permitted\n'
    assert.match(explainNft(root), /lacks CAP_NET_ADMIN/)
    assert.match(explainNft('Error: Could not process rule: Operation not permitted\ntable inet'), /another agent/)
    assert.match(explainNft('Error: syntax error, unexpected string\ntable'), /too old.*unexpected string/)
    for (const why of ['Operation not supported', 'No such file or directory', 'Invalid argument']) {
      assert.match(explainNft(`Error: Could not process rule: ${why}\n`), /the kernel cannot.*5\.12/)
    }
    assert.equal(explainNft('Error: something else\nand more'), 'nft: something else')
    assert.equal(explainNft('spawn ENOMEM'), 'nft: spawn ENOMEM')
    assert.equal(explainNft(''), 'nft: no reason given')
  })
})
