import { strict as assert } from 'node:assert'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { linkSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setImmediate } from 'node:timers/promises'

import { discoverGuests, type GuestDiscovery } from '../../../src/guest/index.ts'
import { silentLog, type Log } from '../../../src/runtime/log.ts'
import { until } from '../../support/endpointcontract.ts'
import { VirtualClock } from '../../support/time.ts'
import { FakeQemu } from './fakeqemu.ts'
import { answerAs, type OwnGuest } from './ownguest.ts'

describe('discovery of guests in time', () => {
  let directory: string
  let clock: VirtualClock
  let discovery: GuestDiscovery
  let events: string[]
  let said: string[]
  const fakes: FakeQemu[] = []

  beforeEach(() => {
    directory = mkdtempSync('/tmp/discovery-test-')
    clock = new VirtualClock()
    events = []
    said = []
    const log: Log = {
      ...silentLog, warn: (_message, fields) => said.push(`warn ${String(fields?.['code'])}`),
      debug: (message, fields) => {
        if (message.includes('cannot be used')) said.push(`debug ${String(fields?.['code'])}`)
      },
      error: (message) => said.push(`error ${message}`),
    }
    discovery = discoverGuests({ clock, log }, { globs: [`${directory}/*.qmp`, `${directory}/o*`] })
    discovery.onChange((change, guest) => events.push(`${change} ${guest.name}`))
  })

  afterEach(async () => {
    await discovery.stop()
    await Promise.all(fakes.splice(0).map((fake) => fake.close()))
    rmSync(directory, { recursive: true })
  })

  async function launch(file: string, about: OwnGuest): Promise<FakeQemu> {
    const fake = await FakeQemu.listen(join(directory, file))
    fake.answer = (command) => answerAs(command, about)
    fakes.push(fake)
    return fake
  }

  /** It becomes `atMs`, and what is looked at then has been. */
  async function pass(atMs: number): Promise<void> {
    await clock.run(atMs)
    await discovery.start()
  }

  it('looks every two seconds while it is started, and leaves all guests when it is stopped', async () => {
    await discovery.start()
    await launch('one.qmp', { name: 'web' })
    await pass(1_999)
    assert.deepEqual(events, [])
    await pass(2_000)
    assert.deepEqual(events, ['added web'])
    const [guest] = discovery.guests()
    await discovery.stop()
    assert.deepEqual([events, discovery.guests(), clock.pendingCount], [['added web', 'removed web'], [], 0])
    await assert.rejects(guest!.memory.read(0, 0, 1, Buffer.alloc(4096)), { code: 'guest-gone' })
    await discovery.start()
    assert.deepEqual([events.at(-1), clock.pendingCount], ['added web', 1])
  })

  it('tries a socket that cannot be used ever more seldom, up to once a minute, and says so once', async () => {
    const fake = await launch('one.qmp', { name: 'web' })
    const { greeting } = fake
    fake.greeting = 'no QMP\r\n'
    const triedAt: number[] = []
    for (let at = 0; at <= 200_000; at += 2_000) {
      const before = fake.connectionCount
      await pass(at)
      if (fake.connectionCount > before) triedAt.push(at)
    }
    assert.deepEqual(triedAt, [0, 2_000, 6_000, 14_000, 30_000, 62_000, 122_000, 182_000])
    assert.deepEqual(said, ['warn qmp-garbled'])
    // Whoever asks for a look does not wait, and what can be used then is like new.
    fake.greeting = greeting
    await discovery.refresh()
    assert.deepEqual(events, ['added web'])
  })

  it('tries another socket at the same path at once, and says again what is wrong with it', async () => {
    const fake = await launch('one.qmp', {})
    fake.greeting = 'no QMP\r\n'
    await pass(0)
    await pass(2_000)
    await fake.close()
    const next = await launch('one.qmp', {})
    next.greeting = 'no QMP\r\n'
    await pass(4_000)
    assert.equal(next.connectionCount, 1)
    assert.deepEqual(said, ['warn qmp-garbled', 'warn qmp-garbled'])
    // The rest before the next try is that of the first failure again.
    await pass(6_000)
    assert.equal(next.connectionCount, 2)
  })

  it('says nothing loud of a socket that an ended QEMU left behind', async () => {
    const path = join(directory, 'one.qmp')
    const script = `require('net').createServer().listen('${path}', () => process.kill(process.pid, 'SIGKILL'))`
    await once(spawn(process.execPath, ['-e', script]), 'exit')
    await pass(0)
    await pass(2_000)
    assert.deepEqual(said, ['debug guest-gone'])
  })

  it('asks a socket once, whatever names it has, and nothing that is none', async () => {
    await launch('one.qmp', { name: 'web' })
    linkSync(join(directory, 'one.qmp'), join(directory, 'two.qmp'))
    writeFileSync(join(directory, 'file.qmp'), '')
    symlinkSync(join(directory, 'missing'), join(directory, 'dangling.qmp'))
    await pass(0)
    await pass(2_000)
    assert.deepEqual([events, said], [['added web'], []])
  })

  it('lists guests by their names', async () => {
    for (const [file, name] of [['one', 'b'], ['two', 'c'], ['other', 'a'], ['3', 'd']] as const) {
      await launch(`${file}.qmp`, { name })
    }
    await pass(0)
    assert.deepEqual(discovery.guests().map(({ name }) => name), ['a', 'b', 'c', 'd'])
  })

  it('asks sixteen sockets at a time', async () => {
    const silent = Array.from({ length: 20 }, (_, index) => launch(`${index}.qmp`, { name: String(index) }))
    for (const fake of await Promise.all(silent)) fake.greeting = ''
    const connections = (): number => fakes.reduce((sum, fake) => sum + fake.connectionCount, 0)
    const looking = discovery.start()
    await until(() => connections() === 16)
    for (let turn = 0; turn < 20; turn++) await setImmediate()
    assert.equal(connections(), 16)
    // A visit waits for its greeting no longer than a second.
    await clock.run(1_000)
    await until(() => connections() === 20)
    await clock.run(2_000)
    await looking
    assert.deepEqual(said, Array(20).fill('warn qmp-busy'))
  })

  it('tells no more whoever does not listen any more, and looks once at a time', async () => {
    const fake = await launch('one.qmp', { name: 'web' })
    const heard: string[] = []
    const forget = discovery.onChange((change) => heard.push(change))
    await Promise.all([discovery.start(), discovery.start(), discovery.start()])
    assert.deepEqual([heard, fake.connectionCount], [['added'], 1])
    forget()
    await fake.close()
    await discovery.refresh()
    assert.deepEqual([heard, events], [['added'], ['added web', 'removed web']])
  })
})
