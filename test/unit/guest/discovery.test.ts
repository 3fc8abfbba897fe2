import { strict as assert } from 'node:assert'
import { mkdtempSync, rmSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'

import { connectQmp, discoverGuests, type GuestDiscovery } from '../../../src/guest/index.ts'
import { systemClock } from '../../../src/runtime/clock.ts'
import { silentLog, type Log } from '../../../src/runtime/log.ts'
import { FakeQemu } from './fakeqemu.ts'
import { answerAs, type OwnGuest } from './ownguest.ts'

/** Guests that live in this very process: their memory is a piece of its own. */
describe('discovery of guests', () => {
  let directory: string
  let discovery: GuestDiscovery
  let warnings: string[]
  let events: string[]
  let fakes: FakeQemu[]

  beforeEach(() => {
    directory = mkdtempSync('/tmp/discovery-test-')
    warnings = []
    events = []
    fakes = []
    const log: Log = { ...silentLog, warn: (_message, fields) => warnings.push(String(fields?.['code'])) }
    discovery = discoverGuests({ clock: systemClock, log }, { globs: [`${directory}/*.qmp`] })
    discovery.onChange((change, guest) => events.push(`${change} ${guest.name}`))
  })

  afterEach(async () => {
    await discovery.stop()
    await Promise.all(fakes.map((fake) => fake.close()))
    rmSync(directory, { recursive: true })
  })

  async function launch(file: string, about: OwnGuest) {
    const fake = await FakeQemu.listen(join(directory, file))
    fake.answer = (command) => answerAs(command, about)
    fakes.push(fake)
    return fake
  }

  it('finds guests under their names, and those without one under their socket\'s', async () => {
    await launch('one.qmp', { name: 'web' })
    await launch('two.qmp', { status: 'inmigrate' })
    await launch('other.sock', { name: 'not-asked-for' })
    await discovery.start()
    assert.deepEqual(discovery.guests().map((guest) => [guest.name, guest.lastState, guest.pid]), [
      ['two', 'inmigrate', process.pid], ['web', 'running', process.pid],
    ])
    assert.deepEqual(discovery.guests()[0]!.memory.blocks, [{ name: 'pc.ram', bytes: 4096 }])
  })

  it('refreshes states, and follows guests that come and go', async () => {
    const about = { name: 'web', status: 'running' }
    const fake = await launch('one.qmp', about)
    await discovery.start()
    about.status = 'paused'
    await discovery.refresh()
    assert.equal(discovery.guests()[0]!.lastState, 'paused')
    await fake.close()
    await discovery.refresh()
    assert.deepEqual(discovery.guests(), [])
    await launch('one.qmp', about)
    await discovery.refresh()
    assert.deepEqual(events, ['added web', 'removed web', 'added web'])
  })

  it('takes another QEMU at the same path for another guest', async () => {
    const fake = await launch('one.qmp', { name: 'web' })
    await discovery.start()
    await fake.close()
    await launch('one.qmp', { name: 'database' })
    await discovery.refresh()
    assert.deepEqual(events, ['added web', 'removed web', 'added database'])
  })

  it('takes a guest whose memory changed for another', async () => {
    const about = { name: 'web', blockBytes: 4096 }
    await launch('one.qmp', about)
    await discovery.start()
    about.blockBytes = 8192
    await discovery.refresh()
    assert.deepEqual(events, ['added web', 'removed web', 'added web'])
    assert.equal(discovery.guests()[0]!.memory.blocks[0]!.bytes, 8192)
  })

  it('keeps a guest that lives and hangs up in the middle of a question', async () => {
    const about = { name: 'web' }
    const fake = await launch('one.qmp', about)
    await discovery.start()
    fake.answer = (command) => {
      if (command === 'query-status') fake.hangUp()
      return answerAs(command, about)
    }
    await discovery.refresh()
    assert.deepEqual(events, ['added web'])
  })

  it('keeps what it knows while the socket is busy, and does not hold it itself', async () => {
    const fake = await launch('one.qmp', { name: 'web' })
    await discovery.start()
    const path = join(directory, 'one.qmp')
    const operator = await connectQmp(path, { clock: systemClock, log: silentLog, timeoutMs: 1_000 })
    await discovery.refresh()
    assert.equal(await discovery.guests()[0]!.state(), 'running')
    await operator.close()
    assert.deepEqual(events, ['added web'])
    assert.ok(fake.commands.includes('query-name'))
  }).timeout(10_000)

  it('says once that a socket cannot be used, and uses it when it can', async () => {
    await launch('one.qmp', { name: 'web' })
    const path = join(directory, 'one.qmp')
    const operator = await connectQmp(path, { clock: systemClock, log: silentLog, timeoutMs: 1_000 })
    await discovery.start()
    await discovery.refresh()
    assert.deepEqual(warnings, ['qmp-busy'])
    const [refused, ...others] = discovery.unusable()
    assert.deepEqual([refused?.path, refused?.code, others], [path, 'qmp-busy', []])
    assert.match(refused!.reason, /held by another client\. .*close the other one/)
    await operator.close()
    await discovery.refresh()
    assert.deepEqual([events, discovery.unusable()], [['added web'], []])
  }).timeout(10_000)

  it('refuses a link to a socket, and says so once', async () => {
    const elsewhere = mkdtempSync('/tmp/discovery-test-')
    const fake = await FakeQemu.listen(join(elsewhere, 'one.qmp'))
    fakes.push(fake)
    fake.answer = (command) => answerAs(command, { name: 'web' })
    symlinkSync(join(elsewhere, 'one.qmp'), join(directory, 'one.qmp'))
    await discovery.start()
    await discovery.refresh()
    assert.deepEqual([discovery.guests(), warnings], [[], ['guest-unproven']])
    rmSync(elsewhere, { recursive: true })
  })

  it('refuses what maps no memory of a guest', async () => {
    const fake = await launch('one.qmp', { name: 'web' })
    const { answer } = fake
    fake.answer = async (command, args) => {
      if (command !== 'human-monitor-command') return answer(command, args)
      const { value } = await answer(command, args) as { value: unknown }
      return { value: String(value).replace(/0x\w+ rw/, '0x0000000000001000 rw') }
    }
    await discovery.start()
    assert.deepEqual([discovery.guests(), warnings], [[], ['guest-unproven']])
  })

  it('does not migrate a guest whose socket another process answers at', async () => {
    const fake = await launch('one.qmp', { name: 'web' })
    await discovery.start()
    const { answer } = fake
    fake.answer = (command, args) =>
      command === 'query-cpus-fast' ? { value: [{ 'thread-id': process.ppid }] } : answer(command, args)
    const opening = discovery.guests()[0]!.openOutgoing!({ signal: AbortSignal.timeout(5_000), directory })
    await assert.rejects(opening, { code: 'guest-unseen' })
  })

  it('takes a second socket of the same QEMU for another way to the same guest', async () => {
    const about = { name: 'web', status: 'running' }
    const fakes = [await launch('one.qmp', about), await launch('two.qmp', about)]
    await discovery.start()
    await discovery.refresh()
    assert.deepEqual([events, warnings, discovery.unusable()], [['added web'], [], []])
    for (const [file, status] of [['one.qmp', 'paused'], ['two.qmp', 'running']] as const) {
      const operator = await connectQmp(join(directory, file), { clock: systemClock, log: silentLog })
      about.status = status
      assert.equal(await discovery.guests()[0]!.state(), status)
      await operator.close()
    }
    await Promise.all(fakes.map((fake) => fake.close()))
    await discovery.refresh()
    assert.deepEqual(events, ['added web', 'removed web'])
  }).timeout(10_000)

  it('asks over the open session while a guest is migrated', async () => {
    const about = { name: 'web', status: 'running' }
    await launch('one.qmp', about)
    await discovery.start()
    const guest = discovery.guests()[0]!
    const outgoing = await guest.openOutgoing!({ signal: AbortSignal.timeout(5_000), directory })
    about.status = 'finish-migrate'
    assert.equal(await guest.state(), 'finish-migrate')
    await outgoing.close()
    about.status = 'postmigrate'
    assert.equal(await guest.state(), 'postmigrate')
  })
})
