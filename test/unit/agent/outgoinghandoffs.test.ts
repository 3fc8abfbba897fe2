import assert from 'node:assert/strict'

import { OutgoingHandoffs, type OutgoingHandoffsComponents } from '../../../src/agent/outgoinghandoffs.ts'
import type { Member } from '../../../src/mesh/index.ts'
import { silentLog } from '../../../src/runtime/log.ts'

const ID = '0123456789abcdef0123456789abcdef'

/** The handoffs of a host whose agent was restarted, and kept a guest that it had offered to host-b. */
function afterRestart(): OutgoingHandoffs {
  // What was kept is answered for without anything else of this host.
  const components = { log: silentLog } as OutgoingHandoffsComponents
  const outgoing = new OutgoingHandoffs(components, { directory: '/nowhere', references: true, compression: 'always' })
  outgoing.adopt(ID, {
    role: 'outgoing', as: 'kept', guest: 'web', other: 'host-b', mode: 'precopy', runState: 'running',
  })
  return outgoing
}

function memberOf(name: string): Member {
  return { name, peerId: `peer of ${name}`, address: `/memory/${name}` }
}

describe('a question what became of a guest that left', () => {
  it('is answered to the host that it was handed to', async () => {
    assert.deepEqual(await afterRestart().asked(ID, { kind: 'whole' }, memberOf('host-b')), { verdict: 'kept' })
  })

  it('is not answered to another host, and changes nothing', async () => {
    const outgoing = afterRestart()
    const arrived = { kind: 'arrived', state: 'running', summary: undefined } as const
    assert.deepEqual(await outgoing.asked(ID, arrived, memberOf('host-c')), { verdict: 'unknown' })
    assert.deepEqual(await outgoing.asked(ID, { kind: 'whole' }, memberOf('host-b')), { verdict: 'kept' })
  })

  it('is not answered for a handoff that nobody knows', async () => {
    const unknown = 'f'.repeat(32)
    assert.deepEqual(await afterRestart().asked(unknown, { kind: 'whole' }, memberOf('host-b')), { verdict: 'unknown' })
  })
})
