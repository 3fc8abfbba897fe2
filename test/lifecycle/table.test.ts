/** Operators' and scripts' actions on a moving guest, one per test, with the required result. */
import assert from 'node:assert/strict'

import { systemClock } from '../../src/runtime/clock.ts'
import { waitFor } from '../../testnet/index.ts'
import { settingsLeft } from '../support/verdict.ts'
import type { Witness } from '../support/witness.ts'
import { DiskLocker, makeDisk } from './disk.ts'
import type { TravellingGuest } from './travelling.ts'
import { travels } from './travels.ts'
import { expectBeats, type Moved, type TwoHosts } from './twohosts.ts'

const TEST_TIMEOUT_MS = 120_000
const WAIT_MS = 30_000
/** Slow enough for actions during pre-copy. */
const SLOWLY = ['--max-bandwidth', '40Mbit']

describe('a guest that moves while its operator acts', function () {
  this.timeout(TEST_TIMEOUT_MS)
  let hosts: TwoHosts
  let guest: TravellingGuest

  const made = travels()
  beforeEach(() => { ({ hosts, guest } = made) })

  /** Moves the guest from where it lives, without any action. */
  async function moveTo(destination: Witness, ...words: string[]): Promise<Moved> {
    return await hosts.migrate(guest.home.host, guest.name, destination.host, ...words)
  }

  async function expectMoves(destination: Witness): Promise<void> {
    const { status, words, errors } = await moveTo(destination)
    assert.equal(status, 0, errors)
    assert.equal(words?.status, 'completed')
    assert.equal(await destination.client.state(), 'running')
  }

  /** Moves it, and acts once its memory is being sent. */
  async function actDuring(destination: Witness, act: () => Promise<unknown>): Promise<Moved> {
    const moving = moveTo(destination, ...SLOWLY)
    await untilActive(guest.home)
    await act()
    return await moving
  }

  /** It arrived as `state`, never ran there, and the result says so. */
  async function expectArrivedStill(moved: Moved, destination: Witness, state: string): Promise<void> {
    assert.equal(moved.status, 0, moved.errors)
    assert.deepEqual(wordsOf(moved), { status: 'completed', arrivedState: state, downtimeMs: null })
    assert.equal(await destination.client.state(), state)
    assert.deepEqual(destination.spans, [], 'it never ran at the destination')
  }

  /** Tests one rule; afterwards the guest is at rest, no agent is wedged, and its name is free again. */
  function rule(title: string, test: () => Promise<void>): void {
    it(title, async () => {
      await test()
      await hosts.expectFree()
      await guest.restore()
      await expectMoves(await guest.waiting())
    })
  }

  rule('cancel in the middle of pre-copy: it runs on, settings are as they were, the next move works', async () => {
    const { home } = guest
    const before = await home.settings()
    const destination = await guest.waiting()
    let exit: number | undefined
    const moved = await actDuring(destination, async () => {
      exit = (await hosts.cluster.agent(home.host).command('cancel', guest.name)).status
    })
    assert.equal(exit, 0, 'cancel was in time')
    assert.equal(moved.status, 130)
    assert.equal(moved.words?.status, 'cancelled')
    assert.equal(await home.client.state(), 'running')
    assert.equal(home.stoppedSince(0), undefined, 'it never stopped')
    assert.equal(settingsLeft({ before, after: await home.settings() }), '')
    // QEMU 7.2 closes the connection before it reports `cancelling`: its stream may fail first.
    assert.match(String(await migrationOf(home)), /^(cancelled|failed)$/, 'the source QEMU was asked to cancel')
    await expectBeats(home.guest)
    await hosts.stop(destination)
    await expectMoves(await guest.waiting())
  })

  rule('a paused guest with a disk moves twice, paused', async () => {
    await guest.home.client.execute('stop')
    for (let time = 0; time < 2; time++) {
      const destination = await guest.waiting()
      await expectArrivedStill(await moveTo(destination), destination, 'paused')
      await guest.settleIn(destination)
    }
    await guest.home.client.execute('cont')
    await expectBeats(guest.home.guest)
  })

  rule('stop by another client in pre-copy: it arrives paused, and no downtime is claimed', async () => {
    const destination = await guest.waiting()
    const moved = await actDuring(destination, () => guest.home.client.execute('stop'))
    await expectArrivedStill(moved, destination, 'paused')
    await destination.client.execute('cont')
    await expectBeats(destination.guest)
  })

  rule('cont of a paused guest by another client in pre-copy: it arrives running', async () => {
    await guest.home.client.execute('stop')
    const destination = await guest.waiting()
    const moved = await actDuring(destination, () => guest.home.client.execute('cont'))
    expectArrivedRunning(moved)
    assert.equal(await destination.client.state(), 'running')
    await expectBeats(destination.guest)
  })

  rule('it powers off in pre-copy, on QEMUs with -no-shutdown: it is off at one end, as the result says', async () => {
    await guest.restore('a', ['-no-shutdown'])
    const { home } = guest
    const destination = await guest.waiting(['-no-shutdown'])
    // With -no-reboot, which all guests of the lab have, a reset is a power-off.
    const moved = await actDuring(destination, () => home.client.execute('system_reset'))
    if (moved.status === 0) {
      await expectArrivedStill(moved, destination, 'shutdown')
    } else {
      assert.equal(moved.words?.status, 'failed')
      assert.match(moved.words?.reason ?? '', /powered off|shut ?down/i)
      assert.equal(await home.client.state(), 'shutdown')
    }
  })

  rule('the destination QEMU was started with -S: it arrives running', async () => {
    const destination = await guest.waiting([], { paused: true })
    const moved = await moveTo(destination)
    expectArrivedRunning(moved)
    assert.equal(await destination.client.state(), 'running')
    await expectBeats(destination.guest)
  })

  describe('whose disk at the destination is locked by another process', () => {
    let locker: DiskLocker

    beforeEach(async () => {
      locker = await DiskLocker.start(hosts.cluster.directory)
    })

    afterEach(async () => {
      await locker.stop()
    })

    rule('beforehand: it is refused, and the guest never stops', async () => {
      const path = await makeDisk(hosts.cluster.directory, 'locked-before')
      await locker.lock(path)
      const { home } = guest
      const before = await home.settings()
      const destination = await guest.waiting([], {}, path)
      for (const words of [['--dry-run'], []]) {
        const moved = await moveTo(destination, ...words)
        assert.equal(moved.status, 1, `${words.join()} ${moved.output}${moved.errors}`)
        const reason = reasonOf(moved)
        assert.match(reason, /disk|locked-before\.qcow2/)
        assert.match(reason, /\bb\b/, 'it names the host')
      }
      assert.equal(home.stoppedSince(0), undefined, 'it never stopped')
      assert.equal(settingsLeft({ before, after: await home.settings() }), '')
      assert.equal(await destination.client.state(), 'inmigrate')
    })

    rule('only later: it comes back to the source and runs on there', async () => {
      const path = await makeDisk(hosts.cluster.directory, 'locked-later')
      const { home } = guest
      const before = await home.settings()
      const destination = await guest.waiting([], {}, path)
      const moved = await actDuring(destination, () => locker.lock(path))
      assert.equal(moved.status, 1, moved.output)
      assert.equal(moved.words?.status, 'failed')
      assert.equal(await hosts.untilState(home, 'running'), 'running')
      assert.match(reasonOf(moved), /disk|lock/)
      assert.deepEqual(destination.spans, [], 'it never ran at the destination')
      await waitFor(async () => {
        return settingsLeft({ before, after: await home.settings() }) === '' ? true : undefined
      }, { clock: systemClock, what: 'the settings of the source to be put back', timeoutMs: WAIT_MS })
      await expectBeats(home.guest)
    })
  })
})

function expectArrivedRunning({ status, words, errors }: Moved): void {
  assert.equal(status, 0, errors)
  assert.equal(words?.status, 'completed')
  assert.equal(words.arrivedState, 'running')
  assert.equal(typeof words.downtimeMs, 'number')
}

function wordsOf({ words }: Moved): Record<string, unknown> {
  return { status: words?.status, arrivedState: words?.arrivedState, downtimeMs: words?.downtimeMs }
}

function reasonOf({ words, errors }: Moved): string {
  return words?.reason ?? errors
}

async function migrationOf({ client }: Witness): Promise<string | undefined> {
  return (await client.execute('query-migrate') as { status?: string }).status
}

/** Resolves when memory is being sent. */
async function untilActive(source: Witness): Promise<void> {
  await waitFor(async () => await migrationOf(source) === 'active' ? true : undefined, {
    clock: systemClock, what: 'pre-copy to begin', timeoutMs: WAIT_MS, pauseMs: 5,
  })
}
