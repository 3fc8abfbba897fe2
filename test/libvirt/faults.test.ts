import { strict as assert } from 'node:assert'

import { systemClock } from '../../src/index.ts'
import { IS_WHOLE } from './extent.ts'
import { openLab, type LibvirtLab } from './lab.ts'
import { SlowMigration } from './migration.ts'
import { WAYS, type WayName } from './ways.ts'

const TCP = 'by a loopback address'
const SHORT_MS = 3000
const LONG_MS = 30_000
/** How long an agent waits for a sign of life from the other one, ms. */
const SILENCE_MS_MAX = 5000
const ENDS = { 'the source': 'from', 'the destination': 'to' } as const

describe('a migration of libvirt', function () {
  this.timeout(300_000)
  let lab: LibvirtLab

  before(async function () { lab = await openLab.call(this) })

  afterEach(async () => { await lab.restartAgents() })

  for (const way of IS_WHOLE ? Object.keys(WAYS) as WayName[] : [TCP] as const) {
    it(`that is aborted leaves the guest where it is, ${way}`, async () => {
      const migration = await SlowMigration.begin(lab, way)
      await lab.host(migration.from).virsh('domjobabort', 'web')
      assert.match(await migration.failed(), /job 'migration out' canceled by client/)
      await migration.wentNowhere()
      await lab.until('the agent to write down what it came to', async () =>
        (await lab.history(migration.from)).length > 0)
      const [record] = await lab.history(migration.from)
      assert.deepEqual([record!.status, record!.direction], ['cancelled', 'outgoing'])
    })
  }

  for (const [name, end] of Object.entries(ENDS)) {
    it(`breaks where the agent of ${name} is killed, and leaves the guest where it is`, async () => {
      const migration = await SlowMigration.begin(lab, TCP)
      await lab.cluster.agent(migration[end]).kill()
      await migration.failed()
      await migration.wentNowhere()
    })
  }

  it('goes direct once the agent that intercepts is killed; the one that runs breaks', async () => {
    const migration = await SlowMigration.begin(lab, 'by interception')
    const { from, to } = migration
    await lab.cluster.agent(from).kill()
    await migration.failed()
    await migration.wentNowhere()
    const sentBytes = await lab.sentDuring(from, () =>
      lab.host(from).virsh('migrate', '--live', 'web', `qemu+tcp://${to}/system`))
    assert.ok(sentBytes > lab.plainBytes / 2, `${sentBytes} of ${lab.plainBytes} bytes`)
    assert.equal(await lab.whereIsWeb(), to)
    await lab.host(to).guest('web').moreBeats(1)
  })

  if (!IS_WHOLE) return

  it('whose destination QEMU is killed leaves the guest where it is', async () => {
    const migration = await SlowMigration.begin(lab, TCP)
    const destination = lab.host(migration.to)
    const [known] = await lab.history(migration.from)
    await destination.run('kill', '-KILL', String(await destination.qemuOf('web')))
    await migration.failed()
    await migration.wentNowhere()
    assert.equal((await lab.newerThan(migration.from, known)).status, 'failed')
  })

  it('that its destination cannot load leaves the guest where it is', async () => {
    const left = lab.host('left')
    await lab.cluster.startGuest(left, 'odd', { oddDevice: true })
    try {
      await lab.counted('left', 'odd')
      const [known] = await lab.history('left')
      const words = await lab.words('left', TCP, { virsh: ['--xml', await left.writePlainXml('odd')] })
      await assert.rejects(left.virsh(...words.map((word) => (word === 'web' ? 'odd' : word))),
        /job 'migration out'|load of migration failed/)
      assert.ok((await left.running()).includes('odd'))
      await left.guest('odd').moreBeats(1)
      assert.doesNotMatch(await lab.host('right').virsh('list', '--all', '--name'), /odd/)
      const record = await lab.newerThan('left', known)
      assert.deepEqual([record.guest, record.status], ['odd', 'failed'])
    } finally {
      await left.virsh('destroy', 'odd')
      await left.virsh('undefine', 'odd')
    }
  })

  for (const [name, end] of Object.entries(ENDS)) {
    it(`continues after the agent of ${name} hung for a while`, async () => {
      const migration = await SlowMigration.begin(lab, TCP)
      await lab.whileHung(migration[end], () => systemClock.sleep(SHORT_MS))
      await migration.hurry()
      await migration.completed()
      assert.equal(await lab.whereIsWeb(), migration.to)
      await lab.host(migration.to).guest('web').moreBeats(1)
    })

    it(`is aborted while the agent of ${name} hangs`, async () => {
      const migration = await SlowMigration.begin(lab, TCP)
      const [known] = await lab.history(migration.from)
      await lab.whileHung(migration[end], async () => {
        await lab.host(migration.from).virsh('domjobabort', 'web')
        assert.match(await migration.failed(), /job 'migration out' canceled by client/)
      })
      await migration.wentNowhere()
      assert.equal((await lab.newerThan(migration.from, known)).status, 'cancelled')
    })
  }

  it('breaks while the agent of the destination hangs for long, and leaves the guest where it is', async () => {
    const migration = await SlowMigration.begin(lab, TCP)
    await lab.whileHung(migration.to, async () => {
      const until = systemClock.now() + LONG_MS
      await migration.failed(SILENCE_MS_MAX)
      await systemClock.sleep(until - systemClock.now())
    })
    await migration.wentNowhere()
  })

  it('breaks once the agent of the source has hung for long, and leaves the guest where it is', async () => {
    const migration = await SlowMigration.begin(lab, TCP)
    // Until then the source does not notice: its QEMU's connection is open.
    await lab.whileHung(migration.from, () => systemClock.sleep(LONG_MS))
    await migration.failed()
    await migration.wentNowhere()
  })
})
