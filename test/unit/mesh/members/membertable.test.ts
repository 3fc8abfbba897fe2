import assert from 'node:assert/strict'

import { MemberTable } from '../../../../src/mesh/members/membertable.ts'
import { silentLog } from '../../../../src/runtime/log.ts'

const memberOf = (name: string, peerId: string, address = '10.0.0.1:1') => ({ name, peerId, address })

describe('the table of members', () => {
  const self = { name: 'self', peerId: 'peerS' }

  function watched() {
    const table = new MemberTable({ log: silentLog })
    const changes: string[] = []
    const stop = table.onChange((change, { name, peerId }) => changes.push(`${change} ${name} ${peerId}`))
    return { table, changes, stop }
  }

  it('finds members by name and by identity, and tells of each change', () => {
    const { table, changes, stop } = watched()
    const b = memberOf('b', 'peerB')
    table.add(b)
    table.add(memberOf('c', 'peerC'))
    assert.deepEqual([table.named('b'), table.ofPeer('peerB'), table.named('x'), table.ofPeer('b')],
      [b, b, undefined, undefined])
    assert.deepEqual(table.all().map(({ name }) => name), ['b', 'c'])
    table.remove('peerB')
    table.remove('peerB')
    assert.deepEqual([table.named('b'), table.ofPeer('peerB')], [undefined, undefined])
    stop()
    table.remove('peerC')
    assert.deepEqual(changes, ['joined b peerB', 'joined c peerC', 'left b peerB'])
    assert.deepEqual(table.all(), [])
  })

  it('takes a new address of a member for no change', () => {
    const { table, changes } = watched()
    table.add(memberOf('b', 'peerB', 'old'))
    table.add(memberOf('b', 'peerB', 'new'))
    assert.equal(table.named('b')!.address, 'new')
    assert.deepEqual(changes, ['joined b peerB'])
  })

  it('lets a host that came back under another name leave first', () => {
    const { table, changes } = watched()
    table.add(memberOf('b', 'peerB'))
    table.add(memberOf('c', 'peerB'))
    assert.deepEqual(changes, ['joined b peerB', 'left b peerB', 'joined c peerB'])
    assert.equal(table.named('b'), undefined)
  })

  it('tells listeners of copies, which they may change', () => {
    const table = new MemberTable({ log: silentLog })
    table.onChange((_change, member) => { member.name = 'changed' })
    table.add(memberOf('b', 'peerB'))
    assert.equal(table.named('b')!.name, 'b')
  })

  it('admits each name to one identity', () => {
    const { table } = watched()
    table.add(memberOf('b', 'peerB'))
    const accepted = { code: 'accepted' }
    const taken = (holderName: string, holderPeerId: string) => ({ code: 'name-taken', holderName, holderPeerId })
    assert.deepEqual(table.admit(self, 'new', 'peerN'), accepted)
    assert.deepEqual(table.admit(self, 'b', 'peerB'), accepted, 'it came back')
    assert.deepEqual(table.admit(self, 'b', 'peerX'), taken('b', 'peerB'))
    assert.deepEqual(table.admit(self, 'self', 'peerX'), taken('self', 'peerS'))
    assert.deepEqual(table.admit(self, 'self', 'peerS'), accepted)
  })
})
