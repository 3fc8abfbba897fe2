import { strict as assert } from 'node:assert'

import { parsePeers } from '../../../src/guest/peer.ts'
import { meansSame, parseUnixSockets } from '../../../src/guest/unixsockets.ts'

const HEAD = 'Num       RefCount Protocol Flags    Type St Inode Path\n'

describe('the kernel\'s table of UNIX sockets', () => {
  it('tells what listens, what is connected, and under which name', () => {
    const text = `${HEAD}00000000a1518714: 00000002 00000000 00010000 0001 01  8547 /run/vms/a b.qmp
00000000a1518715: 00000003 00000000 00000000 0001 03  8548 /run/vms/a b.qmp
00000000a1518716: 00000003 00000000 00000000 0001 03 18550
00000000a1518717: 00000002 00000000 00010000 0001 01 18551 vms/relative.qmp
00000000a1518718: 00000002 00000000 00000000 0002 01 18552 @abstract
00000000a1518719: 00000002 00000000 00100000 0001 02 18553\n`
    assert.deepEqual(parseUnixSockets(text), [
      { inode: '8547', state: 'listening', path: '/run/vms/a b.qmp' },
      { inode: '8548', state: 'connected', path: '/run/vms/a b.qmp' },
      { inode: '18550', state: 'connected', path: undefined },
      { inode: '18551', state: 'listening', path: 'vms/relative.qmp' },
      { inode: '18552', state: 'other', path: '@abstract' },
      { inode: '18553', state: 'other', path: undefined },
    ])
  })

  it('is not believed where somebody bound a path that looks like one of its lines', () => {
    const forged = '00000000a1518714: 00000002 00000000 00010000 0001 01 8547 /tmp/attacker'
    const text = `${HEAD}00000000a1518714: 00000002 00000000 00010000 0001 01 8547 /run/vms/a.qmp
00000000a1518719: 00000002 00000000 00010000 0001 01 9000 /tmp/x
${forged}\n`
    assert.deepEqual(parseUnixSockets(text).map(({ inode }) => inode), ['9000'])
  })

  it('is not believed where a path is longer than the kernel lets one be', () => {
    const line = '00000000a1518714: 00000002 00000000 00010000 0001 01 8547'
    assert.equal(parseUnixSockets(`${HEAD}${line} ${'a'.repeat(108)}\n`).length, 1)
    assert.deepEqual(parseUnixSockets(`${HEAD}${line} ${'../'.repeat(20_000)}a\n`), [])
  })
})

describe('who is at the other end', () => {
  const PATH = '/run/pagemesh/d/handoff-1/s'

  it('is told for each connection', () => {
    const text = `u_str ESTAB 0      0      ${PATH} 1121376 * 1121375
u_str ESTAB 0      0      ${PATH} 1121378 /tmp/a name 5 1121377
u_str LISTEN 0      511      ${PATH} 1121370 * 0
u_str ESTAB 0      0      ${PATH} 1121380 * 0
u_str ESTAB 0      0      /elsewhere 1121382 * 1121381\n`
    assert.deepEqual([...parsePeers(text, PATH)], [['1121376', ['1121375']], ['1121378', ['1121377']]])
  })

  it('is several where somebody forged a line', () => {
    const text = `u_str ESTAB 0 0 ${PATH} 10 /tmp/x\nu_str ESTAB 0 0 ${PATH} 10 * 7\nu_str ESTAB 0 0 ${PATH} 10 * 9\n`
    assert.deepEqual(parsePeers(text, PATH).get('10'), ['7', '9'])
  })
})

describe('the path of a socket', () => {
  it('is what was bound, wherever a relative one was', () => {
    for (const bound of ['/run/vms/a.qmp', '/run/../run/vms/a.qmp', 'a.qmp', './a.qmp', '../vms/a.qmp', 'vms/a.qmp']) {
      assert.ok(meansSame('/run/vms/a.qmp', bound), bound)
    }
    for (const bound of ['/a.qmp', '/run/a.qmp', 'b.qmp', 'other/a.qmp', 'vms/../a.qmp/b', '..', 'qmp']) {
      assert.ok(!meansSame('/run/vms/a.qmp', bound), bound)
    }
  })
})
