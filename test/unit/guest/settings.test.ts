import { strict as assert } from 'node:assert'
import { setTimeout } from 'node:timers/promises'

import { MigrationSettings, type SettingsUndo } from '../../../src/guest/settings.ts'
import { silentLog } from '../../../src/runtime/log.ts'
import { until } from '../../support/endpointcontract.ts'
import { VirtualClock } from '../../support/time.ts'
import { FakeMachine } from './fakemachine.ts'
import { refusal, ScriptedQmp } from './scriptedqmp.ts'

describe('migration settings', () => {
  let machine: FakeMachine

  beforeEach(async () => { machine = await FakeMachine.start() })
  afterEach(() => machine.close())

  function open(undo?: SettingsUndo): MigrationSettings {
    return new MigrationSettings(machine.components, { undo })
  }

  const wanted = {
    capabilities: { events: true, multifd: false, unknown: true }, parameters: { 'max-bandwidth': 5, new: 1 },
  }

  it('are changed where they differ and QEMU knows them, and put back', async () => {
    const before = structuredClone([machine.capabilities, machine.parameters])
    const settings = open()
    await settings.change(wanted, undefined)
    assert.equal(machine.capabilities['events'], true)
    assert.equal(machine.parameters['max-bandwidth'], 5)
    assert.equal('unknown' in machine.capabilities, false)
    assert.equal('new' in machine.parameters, false)
    assert.equal(await settings.restore(), undefined)
    assert.deepEqual([machine.capabilities, machine.parameters], before)
    const said = machine.changes.length
    assert.equal(await settings.restore(), undefined)
    assert.equal(machine.changes.length, said, 'nothing is put back twice')
  })

  it('are told before anything is changed', async () => {
    const told: SettingsUndo[] = []
    await open().change({ ...wanted, staysPaused: true }, async (undo) => {
      await setTimeout(5)
      assert.deepEqual(machine.changes, [])
      told.push(undo)
    })
    const undo = { capabilities: { events: false }, parameters: { 'max-bandwidth': 134_217_728 }, autostart: true }
    assert.deepEqual(told, [undo])
  })

  it('are left alone when that cannot be written down', async () => {
    await assert.rejects(open().change(wanted, () => Promise.reject(new Error('disk full'))), /disk full/)
    assert.deepEqual(machine.changes, [])
  })

  it('are put back as they were before an agent that died', async () => {
    let undo: SettingsUndo | undefined
    await open().change(wanted, async (change) => { undo = JSON.parse(JSON.stringify(change)) as SettingsUndo })
    const next = open(undo)
    await next.change({ capabilities: { events: true }, parameters: { 'max-bandwidth': 7 } }, undefined)
    assert.equal(await next.restore(), undefined)
    assert.equal(machine.capabilities['events'], false)
    assert.equal(machine.parameters['max-bandwidth'], 134_217_728)
  })

  it('wait for a migration that is being cancelled, as QEMU takes nothing back before', async () => {
    const settings = open()
    await settings.change(wanted, undefined)
    machine.status = 'cancelling'
    const asked = (): number => machine.fake.commands.filter((command) => command === 'query-migrate').length
    const before = asked()
    const restored = settings.restore()
    await until(() => asked() >= before + 2)
    assert.equal(machine.capabilities['events'], true)
    machine.status = 'cancelled'
    assert.equal(await restored, undefined)
    assert.equal(machine.capabilities['events'], false)
  })

  it('stay while a post-copy goes on, and are told', async () => {
    const settings = open()
    await settings.change(wanted, undefined)
    machine.status = 'postcopy-paused'
    assert.deepEqual(await settings.restore(), settings.undo)
    assert.equal(machine.parameters['max-bandwidth'], 5)
  })

  it('are told when QEMU refuses to take them back for good', async () => {
    const settings = open()
    await settings.change(wanted, undefined)
    machine.special['migrate-set-capabilities'] = () => ({ errorClass: 'GenericError', description: 'never' })
    const left = await settings.restore()
    assert.deepEqual(left, { capabilities: { events: false }, parameters: {}, autostart: false })
  })

  it('of a QEMU that has ended need nothing', async () => {
    const settings = open()
    await settings.change(wanted, undefined)
    machine.alive = false
    await machine.fake.close()
    await machine.session.gone
    assert.equal(await settings.restore(), undefined)
  })

  for (const { status, state, says } of [
    { status: 'none', state: 'inmigrate', says: true },
    { status: 'completed', state: 'paused', says: false },
    { status: 'failed', state: 'inmigrate', says: false },
    { status: 'none', state: 'paused', says: false },
  ]) {
    const what = says ? 'let' : 'do not let'
    it(`${what} a guest in ${state} start by itself again, whose migration is ${status}`, async () => {
      machine.state = state
      const settings = open()
      await settings.change({ capabilities: {}, staysPaused: true }, undefined)
      machine.status = status
      assert.equal(await settings.restore(), undefined)
      assert.equal(machine.changes.includes('cont'), says)
    })
  }
})

describe('migration settings, as they are said to QEMU', () => {
  let clock: VirtualClock
  let qmp: ScriptedQmp
  let status: string

  beforeEach(() => {
    clock = new VirtualClock()
    status = 'none'
    const capabilities: Record<string, boolean> = { events: false, multifd: false }
    const parameters: Record<string, unknown> = { 'max-bandwidth': 9, mode: 'normal' }
    qmp = new ScriptedQmp({
      'query-migrate': () => ({ status }), 'query-status': () => ({ status: 'inmigrate' }),
      'query-migrate-capabilities': () =>
        Object.entries(capabilities).map(([capability, state]) => ({ capability, state })),
      'query-migrate-parameters': () => parameters,
      'migrate-set-capabilities': ({ capabilities: changes }) => {
        for (const { capability, state } of changes as { capability: string; state: boolean }[]) {
          capabilities[capability] = state
        }
      },
      'migrate-set-parameters': (changes) => { Object.assign(parameters, changes) },
    })
  })

  function open(undo?: SettingsUndo): MigrationSettings {
    return new MigrationSettings({ qmp, clock, log: silentLog }, { undo })
  }

  const setEvents = (state: boolean) =>
    ['migrate-set-capabilities', { capabilities: [{ capability: 'events', state }] }]

  it('need no word where nothing differs', async () => {
    const settings = open()
    await settings.change({ capabilities: { events: false }, parameters: { mode: 'normal' } }, () =>
      Promise.reject(new Error('there is nothing to write down')))
    const asked = qmp.said.length
    assert.equal(await settings.restore(), undefined)
    assert.deepEqual([qmp.changes, qmp.said.length], [[], asked])
  })

  it('are changed and put back with those words alone that they need', async () => {
    const settings = open()
    await settings.change({ capabilities: { events: true, multifd: false } }, undefined)
    assert.equal(await settings.restore(), undefined)
    assert.deepEqual(qmp.changes, [setEvents(true), setEvents(false)])
    qmp.said.length = 0
    await settings.change({ capabilities: {}, parameters: { 'max-bandwidth': 5, mode: 'normal' } }, undefined)
    assert.equal(await settings.restore(), undefined)
    assert.deepEqual(qmp.changes, [
      ['migrate-set-parameters', { 'max-bandwidth': 5 }], ['migrate-set-parameters', { 'max-bandwidth': 9 }],
    ])
    qmp.said.length = 0
    await settings.change({ capabilities: {}, staysPaused: true }, undefined)
    assert.equal(await settings.restore(), undefined)
    assert.equal(await settings.restore(), undefined)
    assert.deepEqual(qmp.changes, [['cont', {}]])
  })

  it('are not changed where QEMU refuses, which is told', async () => {
    for (const [index, command] of ['migrate-set-capabilities', 'migrate-set-parameters'].entries()) {
      qmp.answers[command] = () => { throw refusal(command) }
      // Both are said: the one that is not refused is in force.
      const wanted = { capabilities: { events: true }, parameters: { 'max-bandwidth': 5 + index } }
      await assert.rejects(open().change(wanted, undefined), { code: 'qmp-error' })
      qmp.answers[command] = () => undefined
    }
  })

  it('of a guest that arrived leave it alone', async () => {
    const settings = open()
    await settings.change({ capabilities: {}, staysPaused: true }, undefined)
    settings.forgetAutostart()
    assert.equal(await settings.restore(), undefined)
    assert.deepEqual(qmp.changes, [])
  })

  it('are tried for ten seconds while a migration comes to rest, and then are told', async () => {
    const settings = open()
    await settings.change({ capabilities: { events: true } }, undefined)
    status = 'cancelling'
    let refusals = 0
    qmp.answers['migrate-set-capabilities'] = () => {
      refusals += 1
      throw refusal('migrate-set-capabilities')
    }
    const left = { capabilities: { events: false }, parameters: {}, autostart: false }
    let doneAt = 0
    const restoring = settings.restore().then((undo) => {
      doneAt = clock.now()
      return undo
    })
    await clock.run(20_000)
    assert.deepEqual([await restoring, doneAt, refusals], [left, 10_050, 202])
    // One at rest is not waited for.
    status = 'failed'
    refusals = 0
    assert.deepEqual(await settings.restore(), left)
    assert.equal(refusals, 1)
  })

  it('stay one\'s own, whatever is done with what is told of them', async () => {
    const undo = { capabilities: { events: true }, parameters: {}, autostart: false }
    const settings = open(undo)
    undo.capabilities.events = false
    settings.undo.capabilities['multifd'] = true
    assert.deepEqual(settings.undo, { capabilities: { events: true }, parameters: {}, autostart: false })
    await settings.restore()
    assert.deepEqual(qmp.changes, [setEvents(true)])
  })
})
