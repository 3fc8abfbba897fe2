import assert from 'node:assert/strict'

import type { AuditRecord, PeerName } from '../../../src/index.ts'
import { COMMAND_MS_MAX } from '../../support/pagemesh.ts'
import { serveAgent } from './servedagent.ts'

const at = '2026-11-26T13:42:37.123Z'
const PEERS: PeerName[] = [
  { host: 'host-a', peerId: 'peerA', address: '/ip4/10.0.0.1/tcp/4001', pinnedTo: 'peerA', pinnedAt: at, claims: [] },
  {
    host: 'host-b', peerId: null, address: null, pinnedTo: 'peerB', pinnedAt: at,
    claims: [{ peerId: 'peerX', count: 3, lastAt: at }],
  },
]
const AUDIT: AuditRecord[] = [
  { at, event: 'pages', member: 'host-b', peerId: 'peerB', pages: 4096 },
  { at, event: 'offer-refused', member: 'host-b', guest: '\u001b[2Jweb', code: 'not-accepted', count: 2 },
]

describe('pagemesh peers', function () {
  this.timeout(COMMAND_MS_MAX)
  const served = serveAgent()

  it('shows whose each name is, and who wants it', async () => {
    served.agent.peerNames = PEERS
    const { status, stdout, stderr } = await served.run('peers').finished
    assert.deepEqual([status, stderr], [0, ''])
    assert.equal(stdout, `
HOST    NOW                     IDENTITY  SINCE                 CLAIMED BY
host-a  /ip4/10.0.0.1/tcp/4001  peerA     2026-11-26T13:42:37Z
host-b  not here                peerB     2026-11-26T13:42:37Z  peerX (3 times, last 2026-11-26T13:42:37.123Z)
`.trimStart())
  })

  it('accept gives a name away, --json as one object, and says what is wrong', async () => {
    served.agent.peerNames = PEERS
    const accepted = await served.run('peers', 'accept', 'host-b', '--json').finished
    assert.deepEqual([accepted.status, accepted.stderr], [0, ''])
    assert.deepEqual(JSON.parse(accepted.stdout), { host: 'host-b', peerId: 'peerX', before: '12D3KooWother' })
    const named = await served.run('peers', 'accept', 'host-b', '--peer-id', 'peerY').finished
    assert.match(named.stdout, /^host-b is peerY from now on/)
    const refused = await served.run('peers', 'accept', 'host-a').finished
    assert.deepEqual([refused.status, refused.stderr], [1, 'pagemesh: Nobody claims host-a. Start it.\n'])
  })

  it('history --audit shows the audit log, in which nothing can change the terminal', async () => {
    served.agent.audited = AUDIT
    const { status, stdout, stderr } = await served.run('history', '--audit').finished
    assert.deepEqual([status, stderr], [0, ''])
    assert.equal(stdout, [
      '2026-11-26T13:42:37Z  host-b (peerB) fetched 4096 pages',
      '2026-11-26T13:42:37Z  refused \\u001b[2Jweb from host-b: not-accepted, 2 times', '',
    ].join('\n'))
  })
})
