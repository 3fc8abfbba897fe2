import assert from 'node:assert/strict'

import { orderAddresses, orderOwnAddresses, parseRouted } from '../../../src/net/ownaddresses.ts'

const ROUTES = [
  'Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT',
  'docker0\t000011AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0',
  'eth0\t00000000\t0100000A\t0003\t0\t0\t0\t00000000\t0\t0\t0',
  '',
].join('\n')
const ZERO = '0'.repeat(32)
const SIX = [
  `${ZERO} 00 ${ZERO} 00 fe800000000000000000000000000001 00000400 00000001 00000000 00450003    wg0`,
  `${ZERO} 00 ${ZERO} 00 ${ZERO} ffffffff 00000001 00000000 00200200       lo`,
  '',
].join('\n')

const at = (host: string): string => `/ip4/${host}/tcp/4001`

describe('the addresses of a host', () => {
  it('are told with the one that has the default route first, and those of containers last', () => {
    const bridges = Array.from({ length: 9 }, (_, index) => ({
      name: `br-${String(index).repeat(12)}`, address: `172.${18 + index}.0.1`,
    }))
    const interfaces = [
      { name: 'docker0', address: '172.17.0.1' }, ...bridges, { name: 'vmbr1', address: '10.9.0.7' },
      { name: 'eth0', address: '10.0.0.7' },
    ]
    const ordered = orderAddresses(interfaces.map(({ address }) => at(address)), interfaces, new Set(['eth0']))
    assert.deepEqual(ordered.slice(0, 4), [at('10.0.0.7'), at('10.9.0.7'), at('172.17.0.1'), at('172.18.0.1')])
    assert.equal(ordered.length, interfaces.length)
  })

  it('stay as they are where nothing is known of them', () => {
    const addresses = [at('10.0.0.2'), '/dns4/host/tcp/1', '/unix/x', at('10.0.0.1')]
    assert.deepEqual(orderAddresses(addresses, [], new Set()), addresses)
    assert.deepEqual(orderOwnAddresses(addresses), addresses)
  })

  it('have a default route in IPv4 or IPv6, as the kernel lists it', () => {
    assert.deepEqual(parseRouted(ROUTES, SIX), new Set(['eth0', 'wg0']))
    assert.deepEqual(parseRouted('', ''), new Set())
    assert.deepEqual(parseRouted('nonsense', 'more\n nonsense\n'), new Set())
  })
})
