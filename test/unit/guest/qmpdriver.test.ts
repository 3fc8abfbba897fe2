import { strict as assert } from 'node:assert'

import { QmpIncomingDriver } from '../../../src/guest/incomingdriver.ts'
import type {
  DriverNews, Guest, GuestState, MigrationMode, OutgoingMigration, SettingsUndo,
} from '../../../src/guest/index.ts'
import { QmpOutgoingDriver } from '../../../src/guest/outgoingdriver.ts'
import { readStartTicks } from '../../../src/guest/process.ts'
import { systemClock } from '../../../src/runtime/clock.ts'
import { PagemeshError } from '../../../src/runtime/errors.ts'
import { systemRandom } from '../../../src/runtime/random.ts'
import { nextTurn } from '../../../src/runtime/turn.ts'
import { deferred } from '../../../src/runtime/wait.ts'
import { destinationGuest, sourceGuest, UNDO, type FakeGuest } from '../../support/fakeguest.ts'
import { VirtualClock } from '../../support/time.ts'

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

  describe('of a source that is at odds with time', () => {
    let clock: VirtualClock
    let control: FakeGuest
    let driver: QmpOutgoingDriver

    beforeEach(() => {
      clock = new VirtualClock()
      const made = sourceGuest('vm', [], BYTES)
      control = made.control
      driver = new QmpOutgoingDriver({ clock, random: systemRandom }, initOf(made.guest, async () => {}))
    })
    afterEach(async () => {
      await driver.close()
      driver.stop()
    })

    it('looks five times a second whether a cut post-copy is paused, for fifteen seconds', async () => {
      driver.rejoins = true
      control.status = 'postcopy-active'
      let preparedAt = -1
      let prepared = driver.prepare().then(() => { preparedAt = clock.now() })
      await clock.run(390)
      control.status = 'postcopy-paused'
      await clock.run(1_000)
      await prepared
      assert.equal(preparedAt, 400)
      control.status = 'active'
      let refusedAt = -1
      prepared = driver.prepare().then(() => {}, (error: unknown) => {
        refusedAt = clock.now()
        const { code, fault, phase, message } = error as PagemeshError
        assert.deepEqual([code, fault, phase, /it is active/.test(message)], ['not-paused', 'guest', 'recover', true])
      })
      await clock.run(60_000)
      await prepared
      assert.equal(refusedAt, 16_000)
    })

    it('looks five times a second whether the guest goes on, for three seconds', async () => {
      control.state = 'finish-migrate'
      const seen: unknown[] = []
      void driver.stateAtRest().then((state) => seen.push(state, clock.now()))
      await clock.run(590)
      control.state = 'running'
      await clock.run(1_000)
      control.state = 'finish-migrate'
      void driver.stateAtRest().then((state) => seen.push(state, clock.now()))
      await clock.run(60_000)
      assert.deepEqual(seen, ['running', 600, 'finish-migrate', 4_000])
    })
  })

  describe('tells in order', () => {
    const news: DriverNews[] = []
    beforeEach(() => { news.length = 0 })

    function follow({ guest }: { guest: Guest }, more: { undo?: SettingsUndo } = {}): QmpOutgoingDriver {
      return new QmpOutgoingDriver({ clock: systemClock, random: systemRandom }, {
        ...initOf(guest, async () => {}), onNews: (one) => { news.push(one) }, ...more,
      })
    }

    /** The source with one thing about its side changed. */
    function withSide(change: Partial<OutgoingMigration>): { guest: Guest; control: FakeGuest } {
      const { guest, control } = sourceGuest('vm', [], BYTES)
      const open = guest.openOutgoing!
      return { control, guest: { ...guest, openOutgoing: async (init) => ({ ...await open(init), ...change }) } }
    }

    it('what came, and what the guest was then, before anything that came later', async () => {
      const asked = deferred<GuestState>()
      const gone = deferred<Error>()
      const made = withSide({ state: () => asked.promise, gone: gone.promise })
      const driver = follow(made)
      await driver.progress()
      void driver.look()
      await nextTurn()
      made.control.become('active')
      made.control.become('completed')
      gone.resolve(new Error('ended'))
      await nextTurn()
      assert.deepEqual(news, [{ kind: 'qemu', status: 'active' }], 'it is asked what the guest is first')
      asked.resolve('postmigrate')
      await nextTurn()
      assert.deepEqual(news.slice(1), [
        { kind: 'qemu', status: 'completed', state: 'postmigrate' }, { kind: 'gone', wasHeard: true },
      ])
      await driver.close()
      driver.stop()
    })

    it('what failed with why, and that it completed though it cannot be asked any more', async () => {
      const ended = withSide({ state: () => Promise.reject(new Error('ended')) })
      const failed = withSide({})
      for (const { made, become } of [
        { made: ended, become: () => ended.control.become('completed') },
        { made: failed, become: () => failed.control.become('failed', 'no route') },
      ]) {
        const driver = follow(made)
        await driver.look().catch(() => {})
        become()
        await nextTurn()
        await driver.close()
        driver.stop()
      }
      assert.deepEqual(news, [
        { kind: 'qemu', status: 'completed' }, { kind: 'qemu', status: 'failed', error: 'no route' },
      ])
    })

    for (const wasHeard of [true, false, undefined]) {
      it(`that it has gone, once, and whether it was heard to its end: ${wasHeard}`, async () => {
        const gone = deferred<Error>()
        const made = withSide({ gone: gone.promise })
        const driver = follow(made, { undo: UNDO })
        await driver.look()
        const data = wasHeard === undefined ? {} : { wasHeard }
        gone.resolve(new PagemeshError('guest-gone', 'Gone.', { fault: 'guest', data }))
        await nextTurn()
        assert.deepEqual(news, [{ kind: 'gone', wasHeard: wasHeard !== false }])
        await driver.close()
        driver.stop()
      })
    }

    it('nothing more of one that has gone, and opens none to put anything back', async () => {
      let opened = 0
      const gone = deferred<Error>()
      const { guest } = withSide({ gone: gone.promise, close: async () => UNDO })
      const driver = follow({ guest: { ...guest, openOutgoing: (init) => {
        opened += 1
        return guest.openOutgoing!(init)
      } } }, { undo: UNDO })
      await driver.look()
      gone.resolve(new Error('ended'))
      await nextTurn()
      await driver.close()
      assert.deepEqual(driver.undo, UNDO)
      await driver.close()
      assert.deepEqual([opened, driver.undo, news.length], [1, undefined, 1], 'it took along what was to be put back')
      driver.stop()
    })
  })
})
