import { strict as assert } from 'node:assert'

import type { DriverNews, Guest, GuestState, SettingsUndo } from '../../../src/guest/index.ts'
import { QmpIncomingDriver } from '../../../src/guest/incomingdriver.ts'
import { QmpOutgoingDriver } from '../../../src/guest/outgoingdriver.ts'
import { systemClock } from '../../../src/runtime/clock.ts'
import { systemRandom } from '../../../src/runtime/random.ts'
import { deferred } from '../../../src/runtime/wait.ts'
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
})
