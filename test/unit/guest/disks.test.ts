import { strict as assert } from 'node:assert'
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { dirname, join } from 'node:path'

import { activateDisks } from '../../../src/guest/disks.ts'
import { qmpTimeout } from '../../../src/guest/qmperror.ts'
import { VirtualClock } from '../../support/time.ts'
import { refusal, ScriptedQmp } from './scriptedqmp.ts'

/** Two disks: one has a device, and each lies on a file. */
const NODES = {
  'query-block': () => [{ inserted: { 'node-name': 'disk0' } }, { device: 'empty' }],
  'query-named-block-nodes': () => ['disk0', 'file0', 'disk1'].map((name) => ({ 'node-name': name })),
  'query-block-exports': () => [],
}

describe('making QEMU take over the disks of a paused guest', () => {
  let directory: string
  let clock: VirtualClock
  beforeEach(() => {
    directory = mkdtempSync('/tmp/disks-test-')
    clock = new VirtualClock()
  })
  afterEach(() => {
    assert.deepEqual(readdirSync(directory), [], 'no room is left behind')
    rmSync(directory, { recursive: true })
  })

  function activate(qmp: ScriptedQmp): Promise<void> {
    return clock.complete(activateDisks({ qmp, clock }, { directory, uid: process.geteuid!(), isApart: false }))
  }

  it('is one command from QEMU 10.0 on, and its refusal is told', async () => {
    for (const major of [10, 11]) {
      const qmp = new ScriptedQmp()
      qmp.version = { major, minor: 0, micro: 0 }
      await activate(qmp)
      assert.deepEqual(qmp.said, [['blockdev-set-active', { active: true }]])
      qmp.answers['blockdev-set-active'] = () => { throw refusal('blockdev-set-active') }
      await assert.rejects(activate(qmp), { code: 'qmp-error' })
    }
  })

  it('is nothing for a guest without disks', async () => {
    const qmp = new ScriptedQmp({ 'query-block': () => [], 'query-named-block-nodes': () => [] })
    await activate(qmp)
    assert.deepEqual(qmp.changes, [])
  })

  it('exports each node for a moment, read-only, at a socket in a room of its own', async () => {
    const qmp = new ScriptedQmp(NODES)
    qmp.version = { major: 9, minor: 2, micro: 0 }
    let path = ''
    qmp.answers['nbd-server-start'] = ({ addr }) => {
      path = (addr as { data: { path: string } }).data.path
      assert.ok(existsSync(dirname(path)))
    }
    await activate(qmp)
    assert.ok(path.startsWith(join(directory, 'handoff-')))
    const exported = (index: number, node: string) => [
      ['block-export-add', { id: `pagemesh-${index}`, 'node-name': node, writable: false, type: 'nbd' }],
      ['block-export-del', { id: `pagemesh-${index}`, mode: 'hard' }],
    ]
    assert.deepEqual(qmp.changes, [
      ['nbd-server-start', { addr: { type: 'unix', data: { path } } }],
      ...exported(0, 'disk0'), ...exported(1, 'file0'), ...exported(2, 'disk1'), ['nbd-server-stop', {}],
    ])
  })

  it('uses exports with a socket each beside an NBD server of the operator, and leaves that alone', async () => {
    const qmp = new ScriptedQmp(NODES)
    qmp.answers['nbd-server-start'] = () => { throw refusal('nbd-server-start') }
    await activate(qmp)
    const added = qmp.changes.filter(([command]) => command === 'block-export-add').map(([, args]) => args)
    assert.deepEqual(added.map((args) => [args['type'], (args['addr'] as { type: string }).type]),
      Array(3).fill(['vhost-user-blk', 'unix']))
    const paths = added.map((args) => (args['addr'] as { path: string }).path)
    assert.deepEqual([new Set(paths).size, paths.every((path) => path.startsWith(directory))], [3, true])
    assert.ok(!qmp.changes.some(([command]) => command === 'nbd-server-stop'))
  })

  it('goes on with the next node once the export has gone, or after five seconds', async () => {
    // The time that making the room takes is not QEMU's.
    let addedAt = 0
    let restedMs = 0
    let goneAfterMs = 35
    const qmp = new ScriptedQmp({
      ...NODES, 'query-named-block-nodes': () => [],
      'block-export-add': () => { addedAt = clock.now() },
      'query-block-exports': () =>
        clock.now() - addedAt < goneAfterMs ? [{ id: 'other' }, { id: 'pagemesh-0' }] : [{ id: 'other' }],
      'nbd-server-stop': () => { restedMs = clock.now() - addedAt },
    })
    const timesAsked = (): number => qmp.said.filter(([command]) => command === 'query-block-exports').length
    await activate(qmp)
    assert.deepEqual([restedMs, timesAsked()], [40, 5])
    goneAfterMs = Infinity
    await activate(qmp)
    assert.deepEqual([restedMs, timesAsked()], [5_000, 5 + 500])
  })

  it('takes a refusal from a node under another, but from none with a device', async () => {
    for (const [refused, isTold] of [['file0', false], ['disk0', true]] as const) {
      const qmp = new ScriptedQmp(NODES)
      qmp.answers['block-export-add'] = (args) => {
        if (args['node-name'] === refused) throw refusal('block-export-add', 'in use')
      }
      if (isTold) await assert.rejects(activate(qmp), { code: 'qmp-error', message: /in use/ })
      else await activate(qmp)
      assert.deepEqual(qmp.said.at(-1), ['nbd-server-stop', {}], 'the server is taken down in any case')
    }
  })

  it('tells what is no refusal, whatever was to be done', async () => {
    for (const command of ['nbd-server-start', 'block-export-add', 'block-export-del', 'query-block-exports']) {
      const qmp = new ScriptedQmp({ ...NODES, 'query-block': () => [] })
      qmp.answers[command] = () => { throw qmpTimeout('/nowhere', command, 10) }
      await assert.rejects(activate(qmp), { code: 'qmp-timeout' })
    }
  })
})
