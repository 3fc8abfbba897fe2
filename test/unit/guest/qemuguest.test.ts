import { strict as assert } from 'node:assert'
import { mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'

import { connectQmp } from '../../../src/guest/index.ts'
import { readStartTicks } from '../../../src/guest/process.ts'
import { QemuGuest } from '../../../src/guest/qemuguest.ts'
import { isBusy } from '../../../src/guest/qmperror.ts'
import { systemClock } from '../../../src/runtime/clock.ts'
import { silentLog } from '../../../src/runtime/log.ts'
import { until } from '../../support/endpointcontract.ts'
import { VirtualClock } from '../../support/time.ts'
import { FakeQemu } from './fakeqemu.ts'
import { answerAs, type OwnGuest } from './ownguest.ts'

const never = new AbortController().signal

describe('a QEMU of this host', () => {
  let directory: string
  let clock: VirtualClock
  let fake: FakeQemu
  let about: OwnGuest
  let guest: QemuGuest

  beforeEach(async () => {
    directory = mkdtempSync('/tmp/qemuguest-test-')
    clock = new VirtualClock()
    about = { name: 'web' }
    fake = await FakeQemu.listen(join(directory, 'vm.qmp'))
    fake.answer = (command) => answerAs(command, about)
    guest = await find('vm')
  })

  afterEach(async () => {
    await guest.close()
    await fake.close()
    rmSync(directory, { recursive: true })
  })

  function find(fallbackName: string): Promise<QemuGuest> {
    return QemuGuest.find({ clock, log: silentLog }, join(directory, 'vm.qmp'), fallbackName)
  }

  it('is known by what it says, and named after its socket where it has no name', async () => {
    const { name, pid, path, process: own, lastState, alive, memory } = guest
    assert.deepEqual({ name, pid, path, own, lastState, alive, blocks: memory.blocks }, {
      name: 'web', pid: process.pid, path: join(directory, 'vm.qmp'), lastState: 'running', alive: true,
      own: { pid: process.pid, startTicks: readStartTicks(process.pid)! }, blocks: [{ name: 'pc.ram', bytes: 4096 }],
    })
    delete about.name
    const nameless = await find('vm')
    assert.equal(nameless.name, 'vm')
    await nameless.close()
  })

  it('is where its guest is paused, too, whose migration failed near its end', async () => {
    about.status = 'postmigrate'
    let migration = 'completed'
    fake.answer = (command) =>
      (command === 'query-migrate' ? { value: { status: migration } } : answerAs(command, about))
    assert.equal(await guest.state(), 'postmigrate')
    for (migration of ['cancelled', 'failed']) {
      await guest.refresh()
      assert.equal(guest.lastState, 'paused')
    }
  })

  it('says what its guest does, or did when last asked where somebody else holds the socket', async () => {
    about.status = 'paused'
    assert.deepEqual([guest.lastState, await guest.state(), guest.lastState], ['running', 'paused', 'paused'])
    const operator = await connectQmp(guest.path, { clock: systemClock, log: silentLog })
    about.status = 'running'
    const asked = guest.state()
    const refreshed = guest.refresh().then(() => undefined, (error: unknown) => error)
    await clock.run(999)
    assert.equal(clock.pendingCount, 2)
    await clock.run(1_000)
    assert.equal(await asked, 'paused')
    assert.equal(isBusy(await refreshed), true)
    await operator.close()
    await fake.close()
    await assert.rejects(guest.state(), { code: 'guest-gone' })
    assert.deepEqual([isBusy(new Error('qmp-busy')), isBusy(undefined)], [false, false])
  })

  it('is the same while its table of blocks is, but for a migration, whose stream must not wait', async () => {
    about.status = 'paused'
    assert.deepEqual([await guest.refresh(), guest.lastState], ['same', 'paused'])
    about.blockBytes = 8192
    assert.equal(await guest.refresh(), 'changed')
    const outgoing = await guest.openOutgoing({ signal: never, directory })
    fake.commands.length = 0
    about.status = 'finish-migrate'
    assert.deepEqual([await guest.refresh(), guest.lastState], ['same', 'finish-migrate'])
    assert.deepEqual(fake.commands, ['query-status'])
    await outgoing.close()
    assert.equal(await guest.refresh(), 'changed')
  })

  it('is migrated by one at a time, at either end, and by the next once that one is done', async () => {
    for (const open of [() => guest.openOutgoing({ signal: never, directory }),
      () => guest.openIncoming({ signal: never, directory })]) {
      const side = await open()
      await assert.rejects(open(), { code: 'guest-busy' })
      assert.equal(side.uid, process.geteuid!())
      await side.close()
    }
  })

  it('is let go where its session cannot be opened', async () => {
    const { answer } = fake
    fake.answer = (command) => command === 'query-cpus-fast' ? { value: [] } : answer(command, {})
    await assert.rejects(guest.openOutgoing({ signal: never, directory }), { code: 'guest-unproven' })
    await until(() => fake.clientCount === 0)
    fake.answer = answer
    const outgoing = await guest.openOutgoing({ signal: never, directory })
    assert.equal(await outgoing.state(), 'running')
    await outgoing.close()
  })

  it('tells both ends where its memory lies, so that they can tell what backs it', async () => {
    fake.answer = (command, args) => {
      if (command === 'human-monitor-command' && args['command-line'] === 'info qtree') return { value: '' }
      return answerAs(command, about)
    }
    const outgoing = await guest.openOutgoing({ signal: never, directory })
    const { blocks, startsPaused } = await outgoing.describe()
    assert.equal(startsPaused, false)
    assert.deepEqual(blocks.map(({ name, bytes }) => [name, bytes]), [['pc.ram', 4096]])
    assert.notEqual(blocks[0]!.backing, undefined)
    await outgoing.close()
  })
})
