import assert from 'node:assert/strict'

import { dialRules, ownPlaces } from '../../../src/agent/relays.ts'

describe('what a host relays to', () => {
  it('is what its configuration says, or what is made for nothing else', () => {
    assert.deepEqual(dialRules(['/run/vms/*.sock', '10.0.0.2:8102']), [
      { kind: 'unix', glob: '/run/vms/*.sock' }, { kind: 'tcp', host: '10.0.0.2', first: 8102, last: 8102 },
    ])
    assert.deepEqual(dialRules([]), [])
    assert.deepEqual(dialRules().map(({ kind }) => kind), ['unix', 'tcp'])
    assert.throws(() => dialRules(['everything']), { code: 'bad-option' })
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
