import assert from 'node:assert/strict'

import { recordOf, resultOf } from '../../support/fakeagent.ts'
import { COMMAND_MS_MAX } from '../../support/pagemesh.ts'
import { serveAgent } from './servedagent.ts'

const MOVE = { guest: 'web-1', to: 'host-b', mode: 'precopy' } as const
const RECORDS = [
  recordOf({ ...resultOf(MOVE, 'completed'), arrivedState: 'paused', downtimeMs: null }),
  recordOf(resultOf({ guest: 'db-1', to: 'host-a', mode: 'postcopy' }, 'failed', '\u001B[2JNo.'), {
    from: 'host-c', direction: 'incoming', driver: 'relay', manager: 'libvirt', endedAt: '2026-11-26T13:00:00.000Z',
    totalMs: 61_000,
  }),
]

describe('pagemesh history', function () {
  this.timeout(COMMAND_MS_MAX)
  const served = serveAgent()

  it('prints a table for people, in which no reason can change the terminal', async () => {
    served.agent.records = RECORDS
    const { status, stdout, stderr } = await served.run('history').finished
    assert.deepEqual([status, stderr], [0, ''])
    assert.equal(stdout, `
ENDED                 GUEST  WAY          DRIVER   MODE      OUTCOME            TIME    DOWN   WIRE     WHY
2026-11-26T13:42:37Z  web-1  to host-b    agent    precopy   completed, paused  2.10 s  -      32.0 MB
2026-11-26T13:00:00Z  db-1   from host-c  libvirt  postcopy  failed             61.0 s  80 ms  32.0 MB  \\u001b[2JNo.
`.trimStart())
  })

  it('claims no time and no bytes that the destination did not measure', async () => {
    const arrived = { direction: 'incoming', from: 'host-c', totalMs: 0, wireBytes: 0, downtimeMs: null } as const
    served.agent.records = [recordOf(resultOf(MOVE, 'completed'), arrived)]
    const { stdout } = await served.run('history').finished
    assert.match(stdout, / from host-c +agent +precopy +completed +- +- +-$/m)
  })

  it('--json prints one object with as many as are asked for', async () => {
    served.agent.records = RECORDS
    const { status, stdout, stderr } = await served.run('history', '--top', '1', '--json').finished
    assert.deepEqual([status, stderr], [0, ''])
    assert.deepEqual(JSON.parse(stdout), { handoffs: RECORDS.slice(0, 1) })
  })

  it('says that there is none', async () => {
    const { status, stdout } = await served.run('history').finished
    assert.deepEqual([status, stdout], [0, 'No handoff from or to this host has ended yet.\n'])
  })
})
