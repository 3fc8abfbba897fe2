import assert from 'node:assert/strict'

import { PagemeshError } from '../../../src/runtime/errors.ts'
import { sourceGuest } from '../../support/fakeguest.ts'
import { until } from '../../support/passagerelay.ts'
import { Hosts, type Host } from './madehosts.ts'
import { MOVE, playedWorlds, STREAM } from './playedworlds.ts'

describe('a guest whose last handoff is not settled', () => {
  const { directory, start, moving, held } = playedWorlds()

  async function codesOf(host: Host, to: string): Promise<(string | undefined)[]> {
    const request = { guest: 'web', to }
    const said = await host.handoffs.migrate(request)
    const estimated = await host.handoffs.estimate(request).then(() => 'fine', (error: { code: string }) => error.code)
    return [said.code, estimated]
  }

  it('does not leave the host that holds a copy of it', async () => {
    const { hosts, b, source, result } = await held()
    await start(hosts, 'c')
    hosts.network.reconnect('b')
    assert.deepEqual(await codesOf(b, 'c'), ['undecided', 'undecided'])
    source.become('failed')
    assert.equal((await result).status, 'failed')
    source.hangUp()
  })

  it('does not leave again while its QEMU has not decided', async () => {
    const { hosts, a, source, result } = await held()
    await hosts.wait(5000)
    await hosts.wait(30_000)
    await hosts.wait(30_000)
    assert.match((await result).reason!, /What became of web is not known/)
    await start(hosts, 'c')
    assert.deepEqual(await codesOf(a, 'c'), ['undecided', 'undecided'])
    assert.equal(source.told.filter((told) => told === 'begin').length, 1)
    source.become('cancelled')
    await hosts.wait(1000)
    assert.deepEqual(await codesOf(a, 'c'), ['no-waiting-guest', 'no-waiting-guest'])
  })

  it('is told apart from one that has left, until its arrival is confirmed', async () => {
    const { hosts, a, source, result, b } = await held()
    source.complete()
    await hosts.wait()
    await hosts.wait(30_000)
    assert.equal((await result).code, 'unconfirmed')
    assert.equal(a.handoffs.unsettled('web')?.code, 'undecided')
    assert.deepEqual(a.handoffs.allUnsettled(), ['web'])
    hosts.network.reconnect('b')
    await hosts.wait(2000)
    await hosts.wait(2000)
    assert.deepEqual([a.handoffs.unsettled('web'), b.handoffs.allHeld()], [undefined, []])
    assert.deepEqual(a.handoffs.allUnsettled(), [])
  })

  it('is told of while it comes, and comes to no host that is evacuated', async () => {
    const { hosts, a, b, result } = await moving()
    assert.equal(b.handoffs.unsettled('web')?.code, 'already-moving')
    void a.handoffs.cancel('web')
    await result
    await until(() => b.handoffs.list().length === 0, () => hosts.wait(100))
    b.handoffs.isEvacuating = true
    const refused = await a.handoffs.migrate(MOVE)
    assert.equal(refused.code, 'evacuating')
    assert.match(refused.reason!, /b is being evacuated and takes no guests/)
  })

  it('does not leave until the handoff of an earlier agent process is taken up', async () => {
    const hosts = new Hosts(directory)
    const { guest, control } = sourceGuest('web', [], STREAM)
    control.status = 'failed'
    let isSilent = true
    const slow: typeof guest = { ...guest, openOutgoing: async (init) => {
      if (isSilent) throw new PagemeshError('qmp-timeout', 'It does not answer.', { fault: 'guest' })
      return await guest.openOutgoing!(init)
    } }
    const record = { role: 'outgoing', as: 'moving', guest: 'web', other: 'b', mode: 'precopy', runState: 'unknown' }
    const a = await start(hosts, 'a', { records: new Map([['cd'.repeat(16), record]]), guests: [slow] })
    await start(hosts, 'c')
    await hosts.wait()
    isSilent = false
    assert.deepEqual(await codesOf(a, 'c'), ['undecided', 'undecided'])
    await hosts.wait(2000)
    assert.deepEqual(a.recorded, ['kept'])
    assert.deepEqual(await codesOf(a, 'c'), ['no-waiting-guest', 'no-waiting-guest'])
  })

  it('does not begin to move once the agent stops', async () => {
    const { a, source, hosts, result } = await moving()
    const stopping = a.handoffs.stop()
    const again = await result
    assert.equal(again.code, 'agent-stopped')
    const later = await a.handoffs.migrate(MOVE)
    assert.deepEqual([later.status, later.code], ['cancelled', 'agent-stopped'])
    assert.equal(source.told.filter((told) => told === 'begin').length, 1)
    await hosts.wait()
    await stopping
  })
})
