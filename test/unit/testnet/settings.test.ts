import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parse } from 'yaml'

import { readSettings } from '../../../testnet/docker/settings.ts'

interface ComposeFile {
  services: Record<string, { hostname?: string; environment?: Record<string, string>; profiles?: string[] }>
}

describe('settings of a host in a container', () => {
  it('are its guests with their work, and the other hosts', () => {
    const environment = { GUESTS: 'web=web shop-2=database', PEERS: ' host-b  host-c ', GUEST_MEMORY_MIB: '384' }
    assert.deepEqual(readSettings('host-a', environment), {
      name: 'host-a',
      peers: ['host-b', 'host-c'],
      guests: [
        { name: 'web', work: 'web', memoryMiB: 384 },
        { name: 'shop-2', work: 'database', memoryMiB: 384 },
      ],
    })
  })

  it('may be absent', () => {
    assert.deepEqual(readSettings('host-a', {}), { name: 'host-a', peers: [], guests: [] })
  })

  it('are refused where a guest could not be started with them', () => {
    for (const GUESTS of ['web', 'web=', '=web', 'web=gardening', 'we/b=web', '../web=web']) {
      assert.throws(() => readSettings('host-a', { GUESTS }), { code: 'bad-setting' }, GUESTS)
    }
    for (const GUEST_MEMORY_MIB of ['', 'much', '64', '320.5']) {
      assert.throws(() => readSettings('host-a', { GUEST_MEMORY_MIB }), { code: 'bad-setting' }, GUEST_MEMORY_MIB)
    }
  })

  it('are right in docker-compose.yml: every host knows the others, and no two guests have one name', () => {
    const file = readFileSync(join(import.meta.dirname, '..', '..', '..', 'docker-compose.yml'), 'utf8')
    const { services } = parse(file, { merge: true }) as ComposeFile
    const hosts = Object.entries(services).filter(([name]) => name.startsWith('host-'))
      .map(([name, { hostname, environment, profiles }]) => {
        assert.equal(hostname, name)
        return { ...readSettings(name, environment!), profile: profiles?.[0] }
      })
    assert.deepEqual(hosts.map(({ name }) => name), ['host-a', 'host-b', 'host-c', 'host-d', 'host-e'])
    for (const { name, peers, profile } of hosts) {
      const beside = hosts.filter((other) => other.profile === profile && other.name !== name)
      assert.deepEqual(peers, beside.map((other) => other.name))
    }
    const guests = hosts.flatMap((host) => host.guests.map(({ name }) => name))
    assert.equal(new Set(guests).size, guests.length)
  })
})
