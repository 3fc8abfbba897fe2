import assert from 'node:assert/strict'

import { dialRules, ownPlaces } from '../../../src/agent/relays.ts'

describe('what a host relays to', () => {
  it('is what its configuration says, or what is made for nothing else', () => {
    assert.deepEqual(dialRules({ to: ['/run/vms/*.sock', '10.0.0.2:8102'], ports: [] }), [
      { kind: 'unix', glob: '/run/vms/*.sock' }, { kind: 'tcp', host: '10.0.0.2', first: 8102, last: 8102 },
    ])
    assert.deepEqual(dialRules({ to: [], ports: [] }), [])
    assert.deepEqual(dialRules({ ports: [] }).map(({ kind }) => kind), ['unix', 'tcp'])
    assert.throws(() => dialRules({ to: ['everything'], ports: [] }), { code: 'bad-option' })
  })

  it('is what it intercepts, too, at its own addresses', () => {
    assert.deepEqual(dialRules({ to: [], ports: [{ first: 49_152, last: 49_215 }, { first: 8102, last: 8102 }] }), [
      { kind: 'own', first: 49_152, last: 49_215 }, { kind: 'own', first: 8102, last: 8102 },
    ])
  })

  it('is nothing that its agent listens on', () => {
    const own = ownPlaces({
      listen: ['/ip4/10.0.0.1/tcp/4001', '/ip6/fd00::1/tcp/4005'],
      reserved: ['/run/pagemesh/control.sock', '127.0.0.1:9464'],
    })
    assert.deepEqual([...own.ports].sort(), [4001, 4002, 4005, 9464])
    assert.deepEqual(own.paths, ['/run/pagemesh/control.sock'])
    assert.deepEqual([...ownPlaces({}).ports].sort(), [4001, 4002])
    assert.deepEqual([...ownPlaces({ lane: '10.0.0.1:5000' }).ports].sort(), [4001, 5000])
  })
})
