import { strict as assert } from 'node:assert'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'

import { createIncoming } from '../../../src/guest/incoming.ts'
import type { GuestState, IncomingMigration, SettingsUndo } from '../../../src/guest/index.ts'
import { PagemeshError } from '../../../src/runtime/errors.ts'
import { until } from '../../support/endpointcontract.ts'
import { FakeMachine } from './fakemachine.ts'

describe('the destination\'s side of a migration', () => {
  let machine: FakeMachine
  let incoming: IncomingMigration

  beforeEach(async () => {
    machine = await FakeMachine.start()
    machine.state = 'inmigrate'
    incoming = await createIncoming(machine.components, machine.init())
  })

  afterEach(() => machine.close())

  for (const mode of ['precopy', 'postcopy'] as const) {
    it(`keeps QEMU from starting the guest by itself in ${mode}, and puts everything back`, async () => {
      machine.capabilities['multifd'] = true
      machine.capabilities['mapped-ram'] = true
      const before = structuredClone([machine.capabilities, machine.parameters])
      await incoming.prepare({ mode })
      assert.equal(machine.changes.at(-1), 'stop')
      assert.equal(machine.capabilities['late-block-activate'], true)
      assert.equal(machine.capabilities['postcopy-ram'], mode === 'postcopy')
      assert.deepEqual([machine.capabilities['multifd'], machine.capabilities['mapped-ram']], [false, false])
      assert.equal(await incoming.close(), undefined)
      assert.deepEqual([machine.capabilities, machine.parameters], before)
      assert.ok(machine.changes.includes('cont'), 'a guest that nothing was sent to may start by itself again')
    })
  }

  it('does not let a guest start by itself that its operator keeps paused', async () => {
    incoming = await createIncoming(machine.components, machine.init({ startsPaused: true }))
    await incoming.prepare({ mode: 'precopy' })
    await incoming.close()
    assert.equal(machine.changes.includes('cont'), false)
  })

  it('tells what it will have to put back, and changes nothing before that is written down', async () => {
    const written: SettingsUndo[] = []
    await incoming.prepare({
      mode: 'precopy',
      onChange: async (undo) => {
        assert.deepEqual(machine.changes, [])
        written.push(undo)
      },
    })
    assert.deepEqual(written, [{
      capabilities: { events: false, 'return-path': false, 'late-block-activate': false }, parameters: {},
      autostart: true,
    }])
    machine.fake.commands.length = 0
    const full = incoming.prepare({ mode: 'precopy', onChange: () => Promise.reject(new Error('disk full')) })
    await assert.rejects(full, /disk full/)
    assert.deepEqual(machine.changes, [], 'not even that it must not start its guest')
  })

  const refusals: [string, string, () => void, RegExp][] = [
    ['a guest that runs', 'no-waiting-guest', () => { machine.state = 'running' },
      /its state is running.*-incoming defer/],
    ['one that loads', 'no-waiting-guest', () => { machine.status = 'active' }, /is active already/],
    ['one that expects TLS', 'no-waiting-guest', () => { machine.parameters['tls-creds'] = 'tls0' }, /tls0/],
    ['post-copy where QEMU cannot', 'postcopy-impossible', () => {
      machine.special['migrate-set-capabilities'] = () =>
        ({ errorClass: 'GenericError', description: 'Postcopy is not supported' })
    }, /Postcopy is not supported\. .*vm\.unprivileged_userfaultfd=1.*CAP_SYS_PTRACE/],
  ]
  for (const [what, code, set, words] of refusals) {
    it(`refuses ${what}`, async () => {
      set()
      for (const refuse of [() => incoming.check({ mode: 'postcopy' }), () => incoming.prepare({ mode: 'postcopy' })]) {
        await assert.rejects(refuse(), (error) => {
          assert.ok(error instanceof PagemeshError, String(error))
          assert.equal(error.code, code)
          assert.match(`${error.message} ${error.advice}`, words)
          return true
        })
      }
      assert.deepEqual(machine.changes.filter((command) => command !== 'migrate-set-capabilities'), [])
    })
  }

  it('leaves nothing changed by looking', async () => {
    const before = structuredClone([machine.capabilities, machine.parameters])
    await incoming.check({ mode: 'postcopy' })
    assert.deepEqual([machine.capabilities, machine.parameters], before)
    assert.equal(machine.changes.length, 2, 'post-copy was tried and taken back')
  })

  const released: [GuestState, string, GuestState, string[]][] = [
    ['paused', 'completed', 'running', ['cont']],
    ['inmigrate', 'postcopy-active', 'running', ['cont']],
    ['paused', 'completed', 'paused', []],
    ['shutdown', 'completed', 'running', []],
    ['guest-panicked', 'completed', 'guest-panicked', []],
    ['running', 'completed', 'running', []],
  ]
  for (const [state, status, runState, says] of released) {
    it(`says ${says[0] ?? 'nothing'} to a guest in ${state} (${status}) that was ${runState}`, async () => {
      machine.state = state
      machine.status = status
      await incoming.release(runState)
      assert.deepEqual(machine.changes, says)
    })
  }

  it('announces a guest to the network when it runs', async () => {
    await incoming.state()
    assert.deepEqual(machine.changes, [])
    machine.fake.event('RESUME')
    await until(() => machine.changes.length > 0)
    assert.deepEqual(machine.changes, ['announce-self'])
  })

  it('lets no guest run that is not whole', async () => {
    for (const status of ['none', 'active', 'setup']) {
      machine.status = status
      await assert.rejects(incoming.release('running'), (error) =>
        error instanceof PagemeshError && error.code === 'guest-not-loaded')
    }
    assert.deepEqual(machine.changes, [])
  })

  it('lets a guest run although its disks were to be left alone until now, or says QEMU\'s words', async () => {
    machine.state = 'paused'
    machine.status = 'completed'
    machine.special['cont'] = () => ({ errorClass: 'GenericError', description: 'Failed to get "write" lock' })
    await assert.rejects(incoming.release('running'), (error) => {
      assert.ok(error instanceof PagemeshError && error.code === 'guest-cannot-run')
      assert.match(error.message, /cannot run: Failed to get "write" lock\.$/)
      return true
    })
    assert.equal(await incoming.state(), 'paused')
  })

  describe('for the disks of a paused guest', () => {
    beforeEach(() => {
      machine.state = 'paused'
      machine.status = 'completed'
      machine.image = join(machine.directory, 'disk')
    })

    it('has each exported for a moment, and says so when that did not take it over', async () => {
      writeFileSync(machine.image, '')
      await assert.rejects(incoming.release('paused'), (error) =>
        error instanceof PagemeshError && error.code === 'guest-cannot-run' && error.message.includes(machine.image))
      assert.deepEqual(machine.changes, ['nbd-server-start', 'block-export-add', 'block-export-del',
        'block-export-add', 'block-export-del', 'nbd-server-stop'])
    })

    it('goes around an NBD server of the operator', async () => {
      const types: unknown[] = []
      machine.special['nbd-server-start'] = () => ({ errorClass: 'GenericError', description: 'already running' })
      machine.special['block-export-add'] = ({ type }) => {
        types.push(type)
        return { value: {} }
      }
      assert.equal(await incoming.release('paused'), 'paused')
      assert.deepEqual(types, ['vhost-user-blk', 'vhost-user-blk'])
      assert.equal(machine.changes.includes('nbd-server-stop'), false)
    })

    it('has one command where QEMU has', async () => {
      machine.fake.greeting = machine.fake.greeting.replace('"major": 7', '"major": 10')
      await machine.session.close()
      await machine.connect()
      incoming = await createIncoming(machine.components, machine.init())
      assert.equal(await incoming.release('paused'), 'paused')
      assert.deepEqual(machine.changes, ['blockdev-set-active'])
    })

    it('takes down the server also when QEMU refuses, and says why', async () => {
      machine.special['block-export-add'] = () => ({ errorClass: 'GenericError', description: 'in use' })
      await assert.rejects(incoming.release('paused'), /cannot run: in use/)
      assert.equal(machine.changes.at(-1), 'nbd-server-stop')
    })
  })

  it('listens, and recovers out of band', async () => {
    machine.fake.greeting = machine.fake.greeting.replace('"capabilities": []', '"capabilities": ["oob"]')
    await machine.session.close()
    await machine.connect()
    incoming = await createIncoming(machine.components, machine.init())
    const said: unknown[] = []
    for (const command of ['migrate-incoming', 'migrate-recover']) {
      machine.special[command] = (args) => {
        said.push([command, args])
        return { value: {} }
      }
    }
    await incoming.begin('/run/a')
    await incoming.recover('/run/b')
    assert.deepEqual(said, [['migrate-incoming', { uri: 'unix:/run/a' }], ['migrate-recover', { uri: 'unix:/run/b' }]])
    assert.deepEqual(machine.fake.outOfBand, ['migrate-recover'])
  })

  it('says what is wrong with a QEMU that was told where to listen', async () => {
    machine.special['migrate-incoming'] = () =>
      ({ errorClass: 'GenericError', description: 'The incoming migration has already been started' })
    await assert.rejects(incoming.begin('/run/a'), { code: 'no-waiting-guest', advice: /-incoming defer/ })
  })

  it('ends a copy, and is done when its process has ended', async () => {
    machine.state = 'paused'
    machine.special['quit'] = () => {
      machine.alive = false
      machine.fake.hangUp()
      return 'silence'
    }
    await incoming.end()
    await incoming.gone
    assert.equal(await incoming.close(), undefined)
  })

  it('never ends a guest that runs', async () => {
    for (const state of ['running', 'suspended']) {
      machine.state = state
      await assert.rejects(incoming.end(), (error) => error instanceof PagemeshError && error.code === 'guest-runs')
    }
    assert.deepEqual(machine.changes, [])
  })
})
