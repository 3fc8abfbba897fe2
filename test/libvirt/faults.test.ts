import { strict as assert } from 'node:assert'

import { systemClock } from '../../src/index.ts'
import { openLab, OTHER, type LibvirtLab } from './lab.ts'
import { SlowMigration } from './migration.ts'
import type { WayName } from './ways.ts'

const TCP = 'by a loopback address'
const HUNG_MS = [3000, 30_000]

describe('a migration of libvirt', function () {
  this.timeout(300_000)
  let lab: LibvirtLab

  before(async function () { lab = await openLab.call(this) })

  afterEach(async () => { await lab.restartAgents() })

  const ways: WayName[] = [TCP, 'by a socket', 'by interception']
  for (const way of ways) it(`that is aborted leaves the guest where it is (${way})`, async () => {
    const migration = await SlowMigration.begin(lab, way)
    await lab.host(migration.from).virsh('domjobabort', 'web')
    console.log(await migration.failed())
    await migration.wentNowhere()
    const [record] = await lab.history(migration.from)
    assert.equal(record!.status, 'cancelled')
  })

  for (const end of ['from', 'to'] as const) {
    it(`breaks at once where the agent is killed ${end}, and leaves the guest where it is`, async () => {
      const migration = await SlowMigration.begin(lab, TCP)
      await lab.cluster.agent(migration[end]).kill()
      console.log(await migration.failed())
      await migration.wentNowhere()
    })
  }

  it('goes direct once the agent that intercepted has been killed, and its last one fails', async () => {
    const migration = await SlowMigration.begin(lab, 'by interception')
    await lab.cluster.agent(migration.from).kill()
    console.log(await migration.failed())
    await migration.wentNowhere()
    const { from, to } = migration
    const before = await lab.cluster.network.counters(from)
    await lab.host(from).virsh('migrate', '--live', 'web', `qemu+tcp://${to}/system`)
    const after = await lab.cluster.network.counters(from)
    assert.ok(after!.sentBytes - before!.sentBytes > lab.plainBytes / 2)
    assert.equal(await lab.whereIsWeb(), to)
    await lab.host(to).guest('web').moreBeats(1)
  })

  it('whose destination QEMU is killed leaves the guest where it is', async () => {
    const migration = await SlowMigration.begin(lab, TCP)
    const pid = await lab.host(migration.to).qemuOf('web')
    await lab.host(migration.to).run('kill', '-KILL', String(pid))
    console.log(await migration.failed())
    await migration.wentNowhere()
  })

  it('that its destination cannot load leaves the guest where it is', async () => {
    const left = lab.host('left')
    await lab.cluster.startGuest(left, 'odd', { oddDevice: true })
    try {
      await lab.counted('left', 'odd')
      const words = await lab.words('left', TCP, { virsh: ['--xml', lab.cluster.writeXml(left, 'odd')] })
      await assert.rejects(left.virsh(...words.map((word) => (word === 'web' ? 'odd' : word))), (error: Error) => {
        console.log(error.message)
        return true
      })
      assert.ok((await left.running()).includes('odd'))
      await left.guest('odd').moreBeats(1)
      assert.ok(!(await lab.host('right').virsh('list', '--all', '--name')).includes('odd'))
      const [record] = await lab.history('left')
      console.log(JSON.stringify(record))
    } finally {
      await left.virsh('destroy', 'odd')
      await left.virsh('undefine', 'odd')
    }
  })

  for (const end of ['from', 'to'] as const) for (const ms of HUNG_MS) {
    it(`goes on where the agent hung for ${ms / 1000} s ${end}`, async () => {
      const migration = await SlowMigration.begin(lab, TCP)
      const { pid } = lab.cluster.agent(migration[end])
      process.kill(lab.inside(pid), 'SIGSTOP')
      try {
        await systemClock.sleep(ms)
      } finally {
        process.kill(lab.inside(pid), 'SIGCONT')
      }
      await migration.hurry()
      await migration.completed()
      assert.equal(await lab.whereIsWeb(), migration.to)
      await lab.host(migration.to).guest('web').moreBeats(1)
    })
  }

  for (const end of ['from', 'to'] as const) it(`can be aborted while the agent hangs ${end}`, async () => {
    const migration = await SlowMigration.begin(lab, TCP)
    const { pid } = lab.cluster.agent(migration[end])
    process.kill(lab.inside(pid), 'SIGSTOP')
    try {
      await lab.host(migration.from).virsh('domjobabort', 'web')
      console.log(await migration.failed())
    } finally {
      process.kill(lab.inside(pid), 'SIGCONT')
    }
    await migration.wentNowhere()
  })

  for (const way of [TCP, 'by interception'] as const) {
    it(`goes on in post-copy when the agents are back that were killed (${way})`, async () => {
      const migration = await SlowMigration.begin(lab, way, { postcopy: true })
      const { from, to } = migration
      await Promise.all([from, to].map((name) => lab.cluster.agent(name).kill()))
      console.log(await migration.failed())
      await lab.restartAgents()
      const words = await lab.words(from, way, { virsh: ['--postcopy', '--postcopy-resume', '--postcopy-bandwidth', '0'] })
      await lab.host(from).virsh(...words)
      assert.equal(await lab.whereIsWeb(), to)
      await lab.host(to).guest('web').moreBeats(1)
      console.log(JSON.stringify((await lab.history(from)).at(0)))
    })
  }
})
