import { strict as assert } from 'node:assert'

import type { GuestState, OutgoingMigration, SettingsUndo } from '../../../src/guest/index.ts'
import { createOutgoing } from '../../../src/guest/outgoing.ts'
import { systemClock } from '../../../src/runtime/clock.ts'
import { PagemeshError } from '../../../src/runtime/errors.ts'
import { until } from '../../support/endpointcontract.ts'
import { FakeMachine } from './fakemachine.ts'

describe('the source\'s side of a migration', () => {
  let machine: FakeMachine
  let outgoing: OutgoingMigration

  beforeEach(async () => {
    machine = await FakeMachine.start()
    outgoing = await createOutgoing(machine.components, machine.init())
  })

  afterEach(() => machine.close())

  it('sets what a handoff needs, and puts everything back', async () => {
    machine.capabilities['compress'] = true
    machine.parameters['mode'] = 'cpr-reboot'
    const before = structuredClone([machine.capabilities, machine.parameters])
    await outgoing.prepare({ mode: 'postcopy', maxDowntimeMs: 120.5 })
    const { events, compress } = machine.capabilities
    assert.deepEqual([events, machine.capabilities['return-path'], machine.capabilities['postcopy-ram'], compress],
      [true, true, true, false])
    assert.equal(machine.capabilities['pause-before-switchover'], true)
    const { mode, 'max-bandwidth': bandwidth, 'downtime-limit': downtime } = machine.parameters
    assert.deepEqual([bandwidth, downtime, mode], [2 ** 40, 31, 'normal'])
    assert.equal(await outgoing.close(), undefined)
    assert.deepEqual([machine.capabilities, machine.parameters], before)
  })

  it('lets the guest stand still for the rest, for which no smaller limit is set later', async () => {
    const { 'downtime-limit': before } = machine.parameters
    await outgoing.prepare({ mode: 'precopy' })
    await outgoing.allowPause()
    assert.equal(machine.parameters['downtime-limit'], 2_000_000)
    await outgoing.close()
    assert.equal(machine.parameters['downtime-limit'], before)
  })

  it('tells what it will have to put back, and changes nothing before that is written down', async () => {
    const { 'max-bandwidth': bandwidth } = machine.parameters
    const written: SettingsUndo[] = []
    await outgoing.prepare({
      mode: 'precopy',
      onChange: async (undo) => {
        assert.deepEqual(machine.changes, [])
        written.push(undo)
      },
    })
    assert.deepEqual(written, [{
      capabilities: { 'events': false, 'return-path': false, 'pause-before-switchover': false },
      parameters: { 'max-bandwidth': bandwidth, 'downtime-limit': 300 }, autostart: false,
    }])
    const full = outgoing.prepare({ mode: 'postcopy', onChange: () => Promise.reject(new Error('disk full')) })
    await assert.rejects(full, /disk full/)
    assert.equal(machine.capabilities['postcopy-ram'], false)
  })

  const refusals: [string, () => void, RegExp][] = [
    ['x-colo', () => { machine.capabilities['x-colo'] = true }, /x-colo is on: .*COLO/],
    ['x-ignore-shared', () => { machine.capabilities['x-ignore-shared'] = true }, /shared memory would stay behind/],
    ['tls-creds', () => { machine.parameters['tls-creds'] = 'tls0' }, /tls-creds is tls0.*"tls-creds":""/],
    ['a blocker', () => { machine.blockers = ['the device is not migratable', 'other'] }, /not migratable; other/],
    ['a migration that goes on', () => { machine.status = 'active' }, /a migration of it is active.*migrate_cancel/],
    ['a guest that has moved', () => { machine.state = 'postmigrate'; machine.status = 'completed' }, /moved already/],
    ['a guest that waits', () => { machine.state = 'inmigrate' }, /waits for a migration itself/],
    ['a suspended guest of QEMU 7.2', () => { machine.state = 'suspended' }, /before 9.0 would wake it.*system_wakeup/],
    ['a state that nothing is known of', () => { machine.state = 'save-vm' }, /its state is save-vm/],
  ]
  for (const [what, set, words] of refusals) {
    it(`refuses ${what} before anything is changed, with a remedy`, async () => {
      set()
      await assert.rejects(outgoing.prepare({ mode: 'precopy' }), (error) => {
        assert.ok(error instanceof PagemeshError && error.code === 'guest-not-movable', String(error))
        assert.match(`${error.message} ${error.advice}`, words)
        return true
      })
      assert.deepEqual(machine.changes, [])
    })
  }

  describe('of which QEMU holds on to the last one', () => {
    const HELD = { value: [{ type: 'chardev', id: 'compat_monitor0' }, { type: 'migration' }] }
    let nowMs: number
    let hasty: OutgoingMigration

    beforeEach(async () => {
      nowMs = 0
      const clock = { ...systemClock, now: () => nowMs, sleep: async (ms: number) => { nowMs += ms } }
      hasty = await createOutgoing({ ...machine.components, clock }, machine.init())
      machine.status = 'failed'
    })

    it('waits a while until it is cleared away', async () => {
      machine.special['query-yank'] = () => (nowMs < 4900 ? HELD : { value: [HELD.value[0]] })
      await hasty.prepare({ mode: 'precopy' })
      assert.equal(nowMs, 4900)
    })

    it('is refused after that: QEMU would say for ever that one is being set up', async () => {
      machine.special['query-yank'] = () => HELD
      await assert.rejects(hasty.prepare({ mode: 'precopy' }), {
        code: 'guest-not-movable', message: /last migration \(failed\)/,
      })
      assert.equal(nowMs, 5000)
      assert.deepEqual(machine.changes, [])
    })

    it('goes on with a QEMU that does not say', async () => {
      machine.special['query-yank'] = () => ({ errorClass: 'CommandNotFound', description: 'not found' })
      await hasty.prepare({ mode: 'precopy' })
      assert.equal(nowMs, 0)
    })
  })

  for (const state of ['running', 'paused', 'prelaunch', 'shutdown', 'guest-panicked', 'io-error'] as const) {
    it(`lets a guest move that is ${state}`, async () => {
      machine.state = state
      await outgoing.prepare({ mode: 'precopy' })
      assert.equal(machine.state, state)
    })
  }

  it('lets a suspended guest move where QEMU keeps it so', async () => {
    machine.fake.greeting = machine.fake.greeting.replace('"major": 7', '"major": 9')
    await machine.session.close()
    await machine.connect()
    outgoing = await createOutgoing(machine.components, machine.init())
    machine.state = 'suspended'
    await outgoing.prepare({ mode: 'precopy' })
  })

  for (const status of ['cancelled', 'failed']) {
    it(`brings a guest that was left behind in postmigrate back to paused, and lets it move: ${status}`, async () => {
      machine.state = 'postmigrate'
      machine.status = status
      await outgoing.prepare({ mode: 'precopy' })
      assert.equal(machine.state, 'paused')
      assert.deepEqual(machine.changes.slice(-2), ['cont', 'stop'])
    })
  }

  for (const { asked, told } of [{ asked: undefined, told: [75, 75, 300] }, { asked: 120, told: [30, 30, 120] }]) {
    it(`lets QEMU reckon with a quarter of its downtime, until the fourth pass: ${asked ?? 'its own'}`, async () => {
      const limits: unknown[] = []
      await outgoing.prepare({ mode: 'precopy', ...(asked === undefined ? {} : { maxDowntimeMs: asked }) })
      await outgoing.begin('/run/a')
      limits.push(machine.parameters['downtime-limit'])
      for (const pass of [1, 2, 3]) machine.fake.event('MIGRATION_PASS', { pass })
      await outgoing.state()
      limits.push(machine.parameters['downtime-limit'])
      machine.fake.event('MIGRATION_PASS', { pass: 4 })
      await until(() => machine.parameters['downtime-limit'] !== limits[1])
      limits.push(machine.parameters['downtime-limit'])
      assert.deepEqual(limits, told)
      await outgoing.close()
      assert.equal(machine.parameters['downtime-limit'], 300)
    })
  }

  /** What was said from now on, of these commands. */
  function hear(...commands: string[]): unknown[] {
    const said: unknown[] = []
    for (const command of commands) {
      machine.special[command] = (args) => {
        said.push([command, args])
        return { value: {} }
      }
    }
    return said
  }

  it('begins, switches and resumes, each in one command', async () => {
    const said = hear('migrate', 'migrate-start-postcopy')
    await outgoing.begin('/run/a')
    await outgoing.startPostcopy()
    await outgoing.resume('/run/b')
    assert.deepEqual(said, [
      ['migrate', { uri: 'unix:/run/a' }], ['migrate-start-postcopy', {}],
      ['migrate', { uri: 'unix:/run/b', resume: true }],
    ])
  })

  describe('when QEMU waits before switchover', () => {
    const GOES_ON = ['migrate-continue', { state: 'pre-switchover' }]
    const GIVES_UP = [['migrate_cancel', {}], ['migrate-continue', { state: 'cancelling' }]]
    let said: unknown[]

    beforeEach(async () => {
      await outgoing.prepare({ mode: 'precopy' })
      said = hear('migrate-continue', 'migrate_cancel')
    })

    it('tells it to go on, and asks it to give up no more', async () => {
      await outgoing.begin('/run/a')
      machine.reach('active')
      machine.reach('pre-switchover')
      await until(() => said.length === 1)
      assert.equal(await outgoing.cancel(), false)
      assert.deepEqual(said, [GOES_ON])
    })

    it('announces a guest to the network that goes on here after that, and none that did not get so far', async () => {
      await outgoing.begin('/run/a')
      machine.fake.event('RESUME')
      machine.reach('pre-switchover')
      await until(() => said.length === 1)
      assert.equal(machine.changes.includes('announce-self'), false)
      machine.fake.event('RESUME')
      await until(() => machine.changes.includes('announce-self'))
    })

    it('leaves one alone that somebody else migrates', async () => {
      const heard: string[] = []
      outgoing.follow(({ status }) => heard.push(status))
      machine.reach('pre-switchover')
      await until(() => heard.length === 1)
      await outgoing.state()
      assert.deepEqual(said, [])
    })

    it('lets one that was asked to give up do so, though it were about to wait', async () => {
      await outgoing.begin('/run/a')
      machine.reach('active')
      assert.equal(await outgoing.cancel(), true)
      machine.reach('pre-switchover')
      await outgoing.state()
      assert.deepEqual(said, GIVES_UP)
    })

    const past = ['device', 'postcopy-active', 'postcopy-paused', 'postcopy-recover', 'postcopy-recover-setup']
    for (const status of past) {
      it(`does not ask one that an agent before it told to go on: ${status}`, async () => {
        machine.status = status
        assert.equal(await outgoing.cancel(), false)
        assert.deepEqual(said, [])
      })
    }

    it('takes no harm from one that has gone on by itself', async () => {
      machine.special['migrate-continue'] = (args) => {
        said.push(['migrate-continue', args])
        return { errorClass: 'GenericError', description: 'Migration not in expected state: cancelling' }
      }
      await outgoing.begin('/run/a')
      machine.reach('active')
      assert.equal(await outgoing.cancel(), true)
      assert.deepEqual(said, GIVES_UP)
    })
  })

  const takenBack: [GuestState, string[], string][] = [
    ['running', ['cont'], 'running'],
    ['paused', ['cont', 'stop'], 'paused'],
    ['shutdown', [], 'postmigrate'],
    ['guest-panicked', [], 'postmigrate'],
  ]
  for (const [runState, says, state] of takenBack) {
    it(`takes a guest back that was ${runState}`, async () => {
      machine.state = 'postmigrate'
      machine.status = 'completed'
      assert.equal(await outgoing.takeBack(runState), state)
      assert.deepEqual(machine.changes, says)
    })
  }

  for (const runState of ['shutdown', 'guest-panicked', 'internal-error'] as const) {
    it(`takes the disks back of a guest that had ended, and does not let it run: ${runState}`, async () => {
      machine.fake.greeting = machine.fake.greeting.replace('"major": 7', '"major": 10')
      await machine.session.close()
      await machine.connect()
      outgoing = await createOutgoing(machine.components, machine.init())
      machine.state = 'postmigrate'
      machine.status = 'completed'
      assert.equal(await outgoing.takeBack(runState), 'postmigrate')
      assert.deepEqual(machine.changes, ['blockdev-set-active'])
      machine.special['blockdev-set-active'] = () => ({ errorClass: 'GenericError', description: 'locked' })
      machine.image = '/nowhere/disk'
      await assert.rejects(outgoing.takeBack(runState), { code: 'guest-cannot-run', message: /locked/ })
    })
  }

  it('takes nothing back that never left', async () => {
    assert.equal(await outgoing.takeBack('running'), 'running')
    assert.deepEqual(machine.changes, [])
  })

  it('says QEMU\'s words when it will not let the guest run', async () => {
    machine.state = 'postmigrate'
    machine.special['cont'] = () => ({ errorClass: 'GenericError', description: 'Failed to get "write" lock' })
    await assert.rejects(outgoing.takeBack('running'), (error) =>
      error instanceof PagemeshError && error.code === 'guest-cannot-run' &&
      /Failed to get "write" lock/.test(error.message))
  })

  it('tells what the migration came to before it tells that the guest is gone', async () => {
    const order: string[] = []
    await outgoing.prepare({ mode: 'precopy' })
    outgoing.follow(({ status }) => order.push(status))
    void outgoing.gone.then(() => order.push('gone'))
    machine.reach('active')
    await until(() => order.length === 1)
    machine.reach('completed')
    machine.alive = false
    await machine.fake.close()
    await until(() => order.includes('gone'))
    assert.deepEqual(order, ['active', 'completed', 'gone'])
    assert.equal(await outgoing.close(), undefined)
    assert.equal(await outgoing.close(), undefined)
  })
})
