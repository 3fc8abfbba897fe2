import { strict as assert } from 'node:assert'
import { setTimeout } from 'node:timers/promises'

import { MigrationSettings, type SettingsUndo } from '../../../src/guest/settings.ts'
import { FakeMachine } from './fakemachine.ts'

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
    const restored = settings.restore()
    await setTimeout(120)
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
