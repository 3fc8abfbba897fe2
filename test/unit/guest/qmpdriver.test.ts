import { strict as assert } from 'node:assert'

import type { DriverNews, Guest, GuestState, MigrationMode, SettingsUndo } from '../../../src/guest/index.ts'
import { QmpIncomingDriver } from '../../../src/guest/incomingdriver.ts'
import { QmpOutgoingDriver } from '../../../src/guest/outgoingdriver.ts'
import { readStartTicks } from '../../../src/guest/process.ts'
import { systemClock } from '../../../src/runtime/clock.ts'
import { PagemeshError } from '../../../src/runtime/errors.ts'
import { systemRandom } from '../../../src/runtime/random.ts'
import { deferred } from '../../../src/runtime/wait.ts'
import { VirtualClock } from '../../sim/time.ts'
import { destinationGuest, sourceGuest, UNDO, type FakeGuest } from '../handoff/fakeguest.ts'

type AnyDriver = typeof QmpOutgoingDriver | typeof QmpIncomingDriver

const BYTES = Buffer.alloc(100)

/** What a driver is made with for this guest; `write` is how its changes are written down. */
function initOf(guest: Guest, write: () => Promise<void>) {
  return {
    directory: '/nowhere', mode: 'precopy' as const, undo: undefined, find: async () => guest,
    onNews: (_news: DriverNews) => {}, onChange: write,
  }
}

describe('a driver over QMP', () => {
  const ends: { end: string; make: () => { guest: Guest; control: FakeGuest }; Driver: AnyDriver }[] = [
    { end: 'source', make: () => sourceGuest('vm', [], BYTES), Driver: QmpOutgoingDriver },
    { end: 'destination', make: () => destinationGuest('vm', BYTES.length), Driver: QmpIncomingDriver },
  ]
  for (const { end, make, Driver } of ends) {
    it(`of the ${end} changes nothing before it is written down how it was, and puts it back`, async () => {
      const { guest, control } = make()
      const written = deferred<void>()
      let undo: SettingsUndo | undefined
      const driver = new Driver({ clock: systemClock, random: systemRandom }, initOf(guest, async () => {
        undo = driver.undo
        await written.promise
      }))
      const preparing = driver.prepare()
      while (undo === undefined) await systemClock.sleep(1)
      await systemClock.sleep(5)
      assert.deepEqual([undo, control.isChanged], [UNDO, false])
      written.resolve()
      await preparing
      assert.ok(control.isChanged)
      await driver.close()
      assert.deepEqual([driver.undo, control.isChanged], [undefined, false])
      driver.stop()
    })

    it(`of the ${end} changes nothing if that cannot be written down`, async () => {
      const { guest, control } = make()
      const driver = new Driver({ clock: systemClock, random: systemRandom }, initOf(guest, () =>
        Promise.reject(new Error('disk full'))))
      await assert.rejects(driver.prepare(), /disk full/)
      assert.equal(control.isChanged, false)
      await driver.close()
      driver.stop()
    })
  }

  it('gives a guest of which nobody knows what it did to its operator, paused', async () => {
    const { guest, control } = sourceGuest('vm', [], BYTES)
    const driver = new QmpOutgoingDriver({ clock: systemClock, random: systemRandom }, initOf(guest, async () => {}))
    const states: (GuestState | 'unknown')[] = ['unknown', 'running']
    for (const state of states) await driver.takeBack(state)
    assert.deepEqual(control.told, ['takeBack paused', 'takeBack running'])
    driver.stop()
  })

  describe('of the destination, told that its guest may run', () => {
    /** When QEMU was told, on a clock that begins at 0. */
    async function toldAt(mode: MigrationMode, status: string, switchesAt?: number): Promise<number> {
      const clock = new VirtualClock()
      const { guest, control } = destinationGuest('vm', BYTES.length)
      control.status = status
      if (switchesAt !== undefined) clock.after(switchesAt, () => { control.status = 'postcopy-active' })
      const driver = new QmpIncomingDriver({ clock, random: systemRandom }, { ...initOf(guest, async () => {}), mode })
      let told = -1
      void driver.release('running').then(() => { told = clock.now() })
      await clock.run(60_000)
      assert.deepEqual(control.told, ['release running'])
      return told
    }

    it('waits until QEMU has switched over to post-copy, which its stream tells it', async () => {
      for (const status of ['none', 'setup', 'active']) assert.equal(await toldAt('postcopy', status, 95), 100, status)
      for (const status of ['postcopy-active', 'postcopy-paused', 'completed', 'failed']) {
        assert.equal(await toldAt('postcopy', status), 0, status)
      }
    })

    it('waits no longer than twenty seconds, and not at all in pre-copy', async () => {
      assert.equal(await toldAt('postcopy', 'active'), 20_000)
      assert.equal(await toldAt('precopy', 'active'), 0)
    })
  })

  it('looks at the guest\'s process by one timer, however often it is opened, or by none', async () => {
    const clock = new VirtualClock()
    const { guest } = sourceGuest('vm', [], BYTES)
    const own = { pid: process.pid, startTicks: readStartTicks(process.pid)! }
    for (const [process, count] of [[own, 1], [undefined, 0]] as const) {
      const driver = new QmpOutgoingDriver({ clock, random: systemRandom },
        initOf({ ...guest, ...(process === undefined ? {} : { process }) }, async () => {}))
      for (let time = 0; time < 3; time++) {
        await driver.look()
        await driver.close()
      }
      await clock.run(clock.now() + 1_000)
      assert.equal(clock.pendingCount, count)
      driver.stop()
      assert.equal(clock.pendingCount, 0)
    }
  })

  it('tells how things stand, or what it was told to where QEMU is there and does not answer', async () => {
    const { guest, control } = sourceGuest('vm', [], BYTES)
    control.status = 'active'
    let fault: Error | undefined
    const driver = new QmpOutgoingDriver({ clock: systemClock, random: systemRandom }, {
      ...initOf(guest, async () => {}),
      find: async () => {
        if (fault !== undefined) throw fault
        return guest
      },
    })
    const otherwise = { status: 'unknown', state: 'paused' as const }
    assert.equal(await driver.progress(), undefined, 'no session is opened for that')
    for (const [code, isSilent] of [['qmp-timeout', true], ['qmp-busy', true], ['guest-gone', false]] as const) {
      fault = new PagemeshError(code, 'No answer.', { fault: 'guest' })
      if (isSilent) assert.deepEqual(await driver.lookOr(otherwise), otherwise)
      else await assert.rejects(driver.lookOr(otherwise), { code })
    }
    fault = new Error('of another kind')
    await assert.rejects(driver.lookOr(otherwise), /another kind/)
    fault = undefined
    assert.deepEqual(await driver.lookOr(otherwise), { status: 'active', state: 'running' })
    assert.equal((await driver.progress())?.status, 'active')
    await driver.close()
    driver.stop()
  })
})
