import assert from 'node:assert/strict'

import { valueOf } from '../../../src/agent/options.ts'
import { libvirtRows, tunnelHosts } from '../../../src/cli/libvirttext.ts'
import { mayDial, parseDialRule, parseRelayAddress } from '../../../src/relay/index.ts'

describe('what to tell libvirt', () => {
  it('is an address for each member, whoever else there is', () => {
    const names = Array.from({ length: 300 }, (_, index) => `host-${index}`)
    const hosts = tunnelHosts(names)
    assert.equal(new Set(hosts.values()).size, names.length)
    for (const host of hosts.values()) assert.match(host, /^127\.64\.([1-9]\d?|1\d\d|2[0-4]\d|25[0-4])\.\d{1,3}$/)
    const alone = tunnelHosts(['host-7'])
    assert.equal(alone.get('host-7'), hosts.get('host-7'))
    assert.deepEqual(tunnelHosts(['host-7', 'host-7']), alone)
  })

  it('is what may be said here, and dialled there unless it is configured otherwise', () => {
    const [tunnel, virsh] = libvirtRows(['host-b']) as [string[], string[]]
    assert.equal(tunnel[0], 'libvirt to host-b')
    const [, path = '', remotePath = ''] = /--path (\S+) --remote-path (\S+)$/.exec(tunnel[1]!) ?? []
    const address = parseRelayAddress(remotePath)!
    const own = { hosts: new Set<string>(), ports: new Set<number>(), paths: [] }
    assert.ok(mayDial(address, { rules: valueOf({}, 'tunnel.to').map((text) => parseDialRule(text)!), own }))
    assert.ok(parseRelayAddress(path) !== undefined)
    assert.match(virsh[1]!, new RegExp(`--migrateuri tcp://${path} --listen-address ${remotePath.split(':')[0]}$`))
  })
})
