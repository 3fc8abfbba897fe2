import { strict as assert } from 'node:assert'

import { endOf, otherEnds, parseTcpConnections } from '../../../src/guest/tcpsockets.ts'

const HEAD = '  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n'
const line = (local: string, remote: string, state: string, inode: number): string =>
  `   0: ${local} ${remote} ${state} 00000000:00000000 00:00000000 00000000     0        0 ${inode} 1 0\n`

describe('TCP connections', () => {
  it('are read with their ends and numbers', () => {
    const text = HEAD + line('0100007F:C350', '0200407F:4EB9', '01', 12345)
    assert.deepEqual(parseTcpConnections(text), [
      { inode: '12345', local: '127.0.0.1:50000', remote: '127.64.0.2:20153' },
    ])
  })

  it('are read when they are of IPv6, or carry IPv4 in it', () => {
    const text = HEAD + line('B80D0120000000000000000001000000:1F90', '00000000000000000000000001000000:0050', '01', 7)
      + line('0000000000000000FFFF00000100000A:1F90', '0000000000000000FFFF00000200000A:0050', '01', 8)
    assert.deepEqual(parseTcpConnections(text), [
      { inode: '7', local: '2001:db8::1:8080', remote: '::1:80' },
      { inode: '8', local: '10.0.0.1:8080', remote: '10.0.0.2:80' },
    ])
  })

  it('count only while they stand', () => {
    const text = ['0A', '06', '02', '08'].map((state) => line('0100007F:C350', '0100007F:4EB9', state, 5)).join('')
    assert.deepEqual(parseTcpConnections(text + line('0100007F:C350', '0100007F:4EB9', '01', 0)), [])
    assert.deepEqual(parseTcpConnections('anything\n'), [])
  })

  it('have one name for an end, however it is written', () => {
    assert.equal(endOf('::ffff:10.0.0.1', 80), '10.0.0.1:80')
    assert.equal(endOf('fe80:0:0::1%eth0', 80), 'fe80::1:80')
    assert.equal(endOf('127.0.0.1', 0), '127.0.0.1:0')
  })

  it('have another end, also where the kernel led them elsewhere than they were to go', () => {
    const ours = { local: '127.64.0.2:20153', remote: '10.0.0.1:50000' }
    const led = { inode: '1', local: '10.0.0.1:50000', remote: '10.0.0.2:49153' }
    const straight = { inode: '2', local: '10.0.0.1:50000', remote: '127.64.0.2:20153' }
    const own = { inode: '3', local: '127.64.0.2:20153', remote: '10.0.0.1:50000' }
    assert.deepEqual(otherEnds([led, own], ours), ['1'])
    assert.deepEqual(otherEnds([led, straight, own], ours), ['2'])
    assert.deepEqual(otherEnds([own], ours), [])
  })
})
