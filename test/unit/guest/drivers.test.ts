import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { untilBegun } from '../../../src/guest/begunendpoint.ts'
import type { Guest } from '../../../src/guest/guest.ts'
import { QmpIncomingDriver } from '../../../src/guest/incomingdriver.ts'
import { QmpOutgoingDriver } from '../../../src/guest/outgoingdriver.ts'
import { readStartTicks } from '../../../src/guest/process.ts'
import type { DriverInit, DriverNews } from '../../../src/guest/qmpdriver.ts'
import { createEndpointPair, type Endpoint } from '../../../src/net/endpoint.ts'
import { systemClock } from '../../../src/runtime/clock.ts'
import { PagemeshError } from '../../../src/runtime/errors.ts'
import { systemRandom } from '../../../src/runtime/random.ts'
import { destinationGuest, MACHINE, memoryOf, sourceGuest, UNDO } from '../../support/fakeguest.ts'
import { settle, until } from '../../support/passagerelay.ts'
import { VirtualClock } from '../../support/time.ts'

const HOSTS = { source: 'a', destination: 'b' }
const STREAM = Buffer.from('what QEMU writes')
const OWN = { pid: process.pid, startTicks: readStartTicks(process.pid)! }
const { signal } = new AbortController()

interface Played<Driver> {
  driver: Driver
  news: DriverNews[]
  /** What must be put back, each time before something is changed. */
  changes: unknown[]
  found: number
}

describe('the drivers over a guest\'s migration', () => {
  const directory = mkdtempSync(join(tmpdir(), 'pm-drivers-'))
  afterEach(() => assert.deepEqual(readdirSync(directory), [], 'no rendezvous is left behind'))
  after(() => rmSync(directory, { recursive: true, force: true }))

  function play<Driver extends QmpOutgoingDriver | QmpIncomingDriver>(
    Made: new (components: { clock: typeof systemClock; random: typeof systemRandom }, init: DriverInit) => Driver,
    guest: Guest, more: Partial<DriverInit> = {}, clock = systemClock,
  ): Played<Driver> {
    const played: Played<Driver> = { driver: undefined as never, news: [], changes: [], found: 0 }
    played.driver = new Made({ clock, random: systemRandom }, {
      directory, mode: 'precopy', undo: undefined,
      find: async () => {
        played.found += 1
        return guest
      },
      onChange: async () => { played.changes.push(played.driver.undo) },
      onNews: (news) => played.news.push(news), ...more,
    })
    return played
  }

  async function firstOf(channels: AsyncIterable<Endpoint>): Promise<Endpoint> {
    for await (const endpoint of channels) return endpoint
    throw new Error('no channel')
  }

  it('prepare both QEMUs, and bring the connection of each once the source\'s stream has begun', async () => {
    const source = sourceGuest('web', [], STREAM)
    const destination = destinationGuest('web', STREAM.length)
    const out = play(QmpOutgoingDriver, source.guest)
    const into = play(QmpIncomingDriver, destination.guest)
    assert.deepEqual(await out.driver.prepare(), MACHINE)
    await into.driver.check(MACHINE, HOSTS)
    assert.deepEqual(into.changes, [])
    await into.driver.prepare()
    // Whoever writes it down knows what must be put back before it is changed.
    assert.deepEqual([out.changes, into.changes], [[UNDO], [UNDO]])
    const sent = await firstOf(out.driver.channels(signal))
    const got: Buffer[] = []
    sent.receive((bytes) => got.push(Buffer.from(bytes)), () => {})
    await until(() => Buffer.concat(got).equals(STREAM))
    const taken = await firstOf(into.driver.channels(signal))
    taken.receive(() => {}, () => {})
    await taken.write(STREAM)
    await until(() => destination.control.status === 'completed')
    await until(() => into.news.length === 2)
    assert.deepEqual(into.news, [
      { kind: 'qemu', status: 'active' }, { kind: 'qemu', status: 'completed', state: 'paused' },
    ])
    assert.deepEqual([out.found, into.found], [1, 1])
    assert.equal(await into.driver.release('running'), 'running')
    await out.driver.cancel()
    assert.deepEqual(source.control.told, ['prepare', 'begin', 'cancel'])
    for (const { driver } of [out, into]) {
      await driver.close()
      driver.stop()
    }
    sent.destroy()
    taken.destroy()
    assert.deepEqual([source.control.isChanged, destination.control.isChanged], [false, false])
    assert.deepEqual([out.driver.undo, into.driver.undo], [undefined, undefined])
  })

  for (const mode of ['precopy', 'postcopy'] as const) {
    it(`break the stream of a QEMU that cannot be asked to give up any more, but for post-copy: ${mode}`, async () => {
      const { guest, control } = sourceGuest('web', [], STREAM)
      control.isSwitching = true
      const { driver, news } = play(QmpOutgoingDriver, guest, { mode })
      await driver.prepare()
      const sent = await firstOf(driver.channels(signal))
      await driver.cancel()
      if (mode === 'precopy') await until(() => control.status === 'failed')
      else assert.equal(control.status, 'active')
      sent.destroy()
      await until(() => news.some((item) => item.kind === 'qemu' && item.status === 'failed'))
      await driver.close()
      driver.stop()
    })
  }

  it('go on with a post-copy that was cut: nothing is prepared, and QEMU is told to resume', async () => {
    const source = sourceGuest('web', [], STREAM)
    const destination = destinationGuest('web', 100)
    const out = play(QmpOutgoingDriver, source.guest)
    const into = play(QmpIncomingDriver, destination.guest)
    source.control.status = destination.control.status = 'postcopy-paused'
    out.driver.rejoins = into.driver.rejoins = true
    await out.driver.prepare()
    // The machines were compared before the guest switched over.
    await into.driver.check({ ...MACHINE, machine: 'another' }, HOSTS)
    await into.driver.prepare()
    const sent = await firstOf(out.driver.channels(signal))
    const taken = await firstOf(into.driver.channels(signal))
    assert.deepEqual([source.control.told, destination.control.told], [['resume'], ['recover']])
    for (const endpoint of [sent, taken]) endpoint.destroy()
    await out.driver.close()
    await into.driver.close()
  })

  it('wait up to fifteen seconds for QEMU to see that its post-copy is broken', async () => {
    const clock = new VirtualClock()
    const source = sourceGuest('web', [], STREAM)
    source.control.status = 'postcopy-active'
    const { driver } = play(QmpOutgoingDriver, source.guest, { mode: 'postcopy' }, clock)
    driver.rejoins = true
    const preparing = driver.prepare()
    preparing.catch(() => {})
    await clock.run(14_900)
    source.control.status = 'postcopy-paused'
    await clock.run(15_100)
    await preparing
    source.control.status = 'active'
    const again = driver.prepare()
    again.catch(() => {})
    await clock.run(40_000)
    await assert.rejects(again, { code: 'not-paused', message: /it is active/ })
    await driver.close()
  })

  it('name what differs between the machines, and whatever else speaks against it', async () => {
    const { driver } = play(QmpIncomingDriver, destinationGuest('web', 1).guest)
    await assert.rejects(driver.check({ ...MACHINE, machine: 'pc-q35-7.2' }, HOSTS), (error) =>
      error instanceof PagemeshError && error.code === 'machines-differ' &&
      /pc-q35-7\.2 on a and \S+ on b\.$/.test(error.message) &&
      /same machine as the one on a/.test(error.advice!) && (error.data['differences'] as string[]).length === 1)
    await driver.close()
    const destination = destinationGuest('web', 1)
    destination.control.refuses['check'] = new PagemeshError('postcopy-impossible', 'No.', { fault: 'guest' })
    const refused = play(QmpIncomingDriver, destination.guest)
    await assert.rejects(refused.driver.check(MACHINE, HOSTS), { code: 'postcopy-impossible' })
    await refused.driver.close()
  })

  it('compare what only post-copy needs alike in post-copy alone', async () => {
    const block = { name: 'pc.ram', bytes: 2 ** 21, bytesMax: 2 ** 21, pageBytes: 4096 }
    const huge = { ...MACHINE, blocks: [{ ...block, pageBytes: 2 ** 21 }] }
    for (const mode of ['precopy', 'postcopy'] as const) {
      const { guest, control } = destinationGuest('web', 1)
      control.machine = { ...MACHINE, blocks: [block] }
      const { driver } = play(QmpIncomingDriver, guest, { mode })
      if (mode === 'precopy') await driver.check(huge, HOSTS)
      else await assert.rejects(
        driver.check(huge, HOSTS), { code: 'machines-differ', message: /post-copy cannot move/ },
      )
      await driver.close()
    }
  })

  it('refuse guests that are no QEMU', async () => {
    const guest: Guest = { name: 'still', memory: memoryOf('still', []), state: async () => 'running' }
    await assert.rejects(play(QmpOutgoingDriver, guest).driver.prepare(), { code: 'guest-not-movable' })
    await assert.rejects(play(QmpIncomingDriver, guest).driver.check(MACHINE, HOSTS), { code: 'guest-not-movable' })
  })

  it('look again for a guest that could not be opened', async () => {
    const source = sourceGuest('web', [], STREAM)
    let isThere = false
    const { driver } = play(QmpOutgoingDriver, source.guest, {
      find: async () => {
        if (!isThere) throw new PagemeshError('guest-unknown', 'None.', { fault: 'usage' })
        return source.guest
      },
    })
    await assert.rejects(driver.look(), { code: 'guest-unknown' })
    isThere = true
    source.control.status = 'completed'
    assert.deepEqual(await driver.look(), { status: 'completed', state: 'running' })
    assert.equal((await driver.progress())!.status, 'completed')
    await driver.close()
    assert.equal(await driver.progress(), undefined)
  })

  it('put back what an agent that died had changed, though nothing else is asked of them', async () => {
    const source = sourceGuest('web', [], STREAM)
    source.control.isChanged = true
    const { driver, found } = play(QmpOutgoingDriver, source.guest, { undo: UNDO })
    assert.deepEqual([driver.undo, found], [UNDO, 0])
    await driver.close()
    assert.deepEqual([driver.undo, source.control.isChanged], [undefined, false])
    const untouched = play(QmpOutgoingDriver, source.guest)
    await untouched.driver.close()
    assert.equal(untouched.found, 0)
  })

  it('remember what could not be put back: a post-copy goes on, or QEMU is not to be had', async () => {
    const source = sourceGuest('web', [], STREAM)
    const { driver } = play(QmpOutgoingDriver, source.guest)
    await driver.prepare()
    source.control.status = 'postcopy-paused'
    await driver.close()
    assert.deepEqual(driver.undo, UNDO)
    source.control.status = 'completed'
    await driver.close()
    assert.equal(driver.undo, undefined)
    const lost = play(QmpOutgoingDriver, source.guest, { undo: UNDO, find: async () => { throw new Error('none') } })
    await lost.driver.close()
    assert.deepEqual(lost.driver.undo, UNDO)
  })

  it('let a guest go on as it was, and paused where nobody knows', async () => {
    const source = sourceGuest('web', [], STREAM)
    const { driver } = play(QmpOutgoingDriver, source.guest)
    await driver.takeBack('running')
    await driver.takeBack('unknown')
    await driver.startPostcopy()
    assert.deepEqual(source.control.told, ['takeBack running', 'takeBack paused', 'startPostcopy'])
    await driver.close()
  })

  it('wait a moment until a guest whose migration failed goes on', async () => {
    const clock = new VirtualClock()
    const source = sourceGuest('web', [], STREAM)
    source.control.state = 'finish-migrate'
    const { driver } = play(QmpOutgoingDriver, source.guest, {}, clock)
    const resting = driver.stateAtRest()
    await clock.run(1000)
    source.control.state = 'running'
    await clock.run(1200)
    assert.equal(await resting, 'running')
    source.control.state = 'finish-migrate'
    const never = driver.stateAtRest()
    await clock.run(10_000)
    assert.equal(await never, 'finish-migrate')
    await driver.close()
  })

  it('tell that the guest has gone, behind all that its QEMU said, and once', async () => {
    const destination = destinationGuest('web', 1)
    const { driver, news } = play(QmpIncomingDriver, destination.guest)
    await driver.check(MACHINE, HOSTS)
    destination.control.become('active')
    destination.control.become('completed')
    destination.control.die()
    await settle()
    assert.deepEqual(news.map((one) => (one.kind === 'qemu' ? one.status : `gone ${one.wasHeard}`)),
      ['active', 'completed', 'gone true'])
    await driver.close()
  })

  it('look at the process of a guest without a session', async () => {
    const clock = new VirtualClock()
    const source = sourceGuest('web', [], STREAM)
    const living = play(QmpOutgoingDriver, { ...source.guest, process: OWN }, {}, clock)
    const dead = play(QmpOutgoingDriver, { ...source.guest, process: { ...OWN, startTicks: 1 } }, {}, clock)
    for (const { driver } of [living, dead]) await driver.look()
    await clock.run(1000)
    assert.deepEqual(dead.news, [], 'while there is a session it tells')
    for (const { driver } of [living, dead]) await driver.close()
    await clock.run(2000)
    assert.deepEqual([living.news, dead.news], [[], [{ kind: 'gone', wasHeard: false }]])
    assert.equal(clock.pendingCount, 1)
    living.driver.stop()
    assert.equal(clock.pendingCount, 0)
    dead.driver.stop()
  })

  it('end the opening of a session that nobody needs any more', async () => {
    const guest: Guest = {
      ...sourceGuest('web', [], STREAM).guest,
      openOutgoing: ({ signal: opening }) => new Promise((_resolve, reject) => {
        opening.addEventListener('abort', () => reject(opening.reason as Error))
      }),
    }
    const { driver } = play(QmpOutgoingDriver, guest)
    const preparing = driver.prepare()
    preparing.catch(() => {})
    await settle()
    await driver.close()
    await assert.rejects(preparing, { code: 'cancelled' })
  })
})

describe('a stream that has begun', () => {
  it('is there with its first bytes, which whoever reads it gets first', async () => {
    const [own, theirs] = createEndpointPair()
    let begun: Endpoint | undefined
    const beginning = untilBegun(own).then((endpoint) => { begun = endpoint })
    await settle()
    assert.equal(begun, undefined)
    await theirs.write(Buffer.from('ab'))
    await beginning
    await theirs.write(Buffer.from('cd'))
    theirs.end()
    await settle()
    const got: Buffer[] = []
    let hasEnded = false
    begun!.receive((bytes) => got.push(Buffer.from(bytes)), () => { hasEnded = true })
    await until(() => hasEnded)
    assert.equal(Buffer.concat(got).toString(), 'abcd')
    await begun!.write(Buffer.from('back'))
    begun!.end()
    theirs.receive(() => {}, () => {})
    assert.equal(await begun!.closed, undefined)
  })

  it('is none where QEMU closes without a word', async () => {
    const [own, theirs] = createEndpointPair()
    const beginning = untilBegun(own)
    theirs.end()
    await assert.rejects(beginning, { code: 'qemu-failed', fault: 'guest' })
  })

  it('holds back, and is closed, as its connection is', async () => {
    const [own, theirs] = createEndpointPair()
    await theirs.write(Buffer.from('a'))
    const begun = await untilBegun(own)
    const got: string[] = []
    begun.receive((bytes) => got.push(String(bytes)), () => {})
    begun.pause()
    await theirs.write(Buffer.from('b'))
    await settle()
    assert.deepEqual(got, ['a'])
    begun.resume()
    await settle()
    assert.deepEqual(got, ['a', 'b'])
    begun.destroy()
    assert.equal(await own.closed, undefined)
  })
})
