import { strict as assert } from 'node:assert'
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

import { createIncoming } from '../../../src/guest/incoming.ts'
import type { IncomingMigration, OutgoingMigration } from '../../../src/guest/index.ts'
import { parseMaps } from '../../../src/guest/maps.ts'
import { createOutgoing } from '../../../src/guest/outgoing.ts'
import { readStartTicks } from '../../../src/guest/process.ts'
import { qmpTimeout } from '../../../src/guest/qmperror.ts'
import { silentLog, type Log } from '../../../src/runtime/log.ts'
import { deferred } from '../../../src/runtime/wait.ts'
import { VirtualClock } from '../../support/time.ts'
import { refusal, ScriptedQmp } from './scriptedqmp.ts'

/** What both sides of a migration say to QEMU, and what they do when it refuses; no socket is involved. */
describe('a side of a migration', () => {
  let clock: VirtualClock
  let qmp: ScriptedQmp
  let state: string
  let status: string
  let downtimeMs: number
  let warnings: string[]

  beforeEach(() => {
    clock = new VirtualClock()
    state = 'running'
    status = 'none'
    downtimeMs = 300
    warnings = []
    qmp = new ScriptedQmp({
      'query-status': () => ({ status: state }), 'query-migrate': () => ({ status }),
      'query-migrate-capabilities': () => [{ capability: 'events', state: false }],
      'query-migrate-parameters': () => ({ 'downtime-limit': downtimeMs, 'tls-creds': '' }),
      'query-block': () => [], 'query-named-block-nodes': () => [],
    })
    qmp.version = { major: 10, minor: 0, micro: 0 }
  })

  const log: Log = { ...silentLog, warn: (message) => warnings.push(message) }
  const init = {
    guest: 'vm', process: { pid: process.pid, startTicks: readStartTicks(process.pid)! },
    uid: process.geteuid!(), blocks: [], startsPaused: false, directory: '/nowhere', isApart: false,
    undo: undefined, endProcess: () => {},
  }
  const words = (): string[] => qmp.changes.map(([command]) => command)
  const limits = (): unknown[] => qmp.said.filter(([command]) => command === 'migrate-set-parameters')
    .map(([, args]) => args['downtime-limit'])

  describe('at the source', () => {
    let outgoing: OutgoingMigration

    beforeEach(async () => { outgoing = await createOutgoing({ qmp, clock, log }, init) })

    it('knows how things stand before it is used', () => {
      assert.deepEqual(qmp.said, [['query-migrate', {}]])
    })

    const refused: [string, string, (side: OutgoingMigration) => Promise<unknown>][] = [
      ['migrate', 'qmp-error', (side) => side.begin('/run/a')],
      ['migrate', 'qmp-error', (side) => side.resume('/run/a')],
      ['migrate-start-postcopy', 'qmp-error', (side) => side.startPostcopy()],
      ['migrate_cancel', 'qmp-error', (side) => side.cancel()],
      ['migrate-set-capabilities', 'qmp-error', (side) => side.prepare({ mode: 'precopy' })],
      ['cont', 'guest-cannot-run', (side) => {
        state = 'postmigrate'
        return side.takeBack('running')
      }],
      ['cont', 'guest-cannot-run', (side) => {
        state = 'postmigrate'
        return side.takeBack('paused')
      }],
      ['stop', 'qmp-error', (side) => {
        state = 'postmigrate'
        return side.takeBack('paused')
      }],
      ['blockdev-set-active', 'guest-cannot-run', (side) => {
        state = 'postmigrate'
        qmp.answers['query-block'] = () => [{ inserted: { file: '/nowhere/disk', ro: false } }]
        return side.takeBack('shutdown')
      }],
      ['blockdev-set-active', 'guest-cannot-run', (side) => {
        state = 'paused'
        qmp.answers['query-block'] = () => [{ inserted: { file: '/nowhere/disk', ro: false } }]
        return side.prepare({ mode: 'precopy' })
      }],
    ]
    for (const [index, [command, code, run]] of refused.entries()) {
      it(`tells that QEMU refused ${command} (${index + 1})`, async () => {
        qmp.answers[command] = () => { throw refusal(command) }
        await assert.rejects(run(outgoing), { code })
      })
    }

    it('goes on with a guest that runs, and takes the disks of one that does not', async () => {
      await outgoing.prepare({ mode: 'precopy' })
      assert.deepEqual(words(), ['migrate-set-capabilities', 'migrate-set-parameters'])
      qmp.said.length = 0
      state = 'paused'
      await outgoing.prepare({ mode: 'precopy' })
      assert.equal(words().at(-1), 'blockdev-set-active')
    })

    it('says `cont` and `stop` in one breath, and looks whether that was enough', async () => {
      state = 'postmigrate'
      const letRun = deferred<unknown>()
      qmp.answers['cont'] = () => letRun.promise
      const taking = outgoing.takeBack('paused')
      await clock.run(1)
      assert.deepEqual(words(), ['cont', 'stop'])
      letRun.resolve({})
      state = 'running'
      await assert.rejects(taking, { code: 'guest-cannot-run', message: /should be paused and is running/ })
    })

    const downtimes: [string, number, number | undefined, unknown[]][] = [
      ['none is asked for and QEMU has none', 0, undefined, []],
      ['QEMU has one', 300, undefined, [75, 300]],
      ['one is asked for', 300, 1, [1, 1]],
      ['it is no whole number', 300, 120.2, [31, 121]],
      ['none is wanted', 300, 0, []],
    ]
    for (const [what, own, asked, expected] of downtimes) {
      it(`limits the downtime at first, and from the fourth pass as it was meant, where ${what}`, async () => {
        downtimeMs = own
        await outgoing.prepare({ mode: 'precopy', ...(asked === undefined ? {} : { maxDowntimeMs: asked }) })
        qmp.event('MIGRATION_PASS', { pass: 4 })
        await clock.run(1)
        await outgoing.begin('/run/a')
        for (const pass of [1, 2, 3, 5, 6]) qmp.event('MIGRATION_PASS', { pass })
        qmp.event('OTHER', { pass: 4 })
        await clock.run(2)
        assert.deepEqual(limits(), expected.slice(0, 1), 'nobody else\'s migration, and no other pass')
        qmp.event('MIGRATION_PASS', { pass: 4 })
        await clock.run(3)
        assert.deepEqual(limits(), expected)
        assert.deepEqual(warnings, [])
      })
    }

    it('says in the log what QEMU refuses of what nobody waits for', async () => {
      await outgoing.prepare({ mode: 'precopy' })
      await outgoing.begin('/run/a')
      for (const command of ['migrate-set-parameters', 'migrate-continue']) {
        qmp.answers[command] = () => { throw qmpTimeout('/nowhere', command, 5) }
      }
      qmp.event('MIGRATION_PASS', { pass: 4 })
      qmp.event('MIGRATION', { status: 'pre-switchover' })
      await clock.run(1)
      assert.deepEqual(warnings, ['a guest keeps its first downtime limit', 'a guest waits for its switchover'])
      // What was told to go on is not asked to give up, though nobody knows whether it heard.
      assert.equal(await outgoing.cancel(), false)
    })

    it('takes no timeout for a refusal when it ends QEMU\'s waiting', async () => {
      await outgoing.begin('/run/a')
      qmp.answers['migrate-continue'] = () => { throw qmpTimeout('/nowhere', 'migrate-continue', 5) }
      await assert.rejects(outgoing.cancel(), { code: 'qmp-timeout' })
    })
  })

  describe('at the destination', () => {
    let incoming: IncomingMigration

    beforeEach(async () => {
      state = 'inmigrate'
      incoming = await createIncoming({ qmp, clock, log }, init)
    })

    const refused: [string, string, (side: IncomingMigration) => Promise<unknown>][] = [
      ['migrate-incoming', 'qmp-error', (side) => side.begin('/run/a')],
      ['migrate-recover', 'qmp-error', (side) => side.recover('/run/a')],
      ['stop', 'qmp-error', (side) => side.prepare({ mode: 'precopy' })],
      ['migrate-set-capabilities', 'qmp-error', (side) => side.prepare({ mode: 'precopy' })],
      ['quit', 'qmp-error', (side) => side.end()],
      ['cont', 'guest-cannot-run', (side) => {
        state = 'paused'
        return side.release('running')
      }],
    ]
    for (const [command, code, run] of refused) {
      it(`tells that QEMU refused ${command}`, async () => {
        qmp.answers[command] = () => { throw refusal(command) }
        await assert.rejects(run(incoming), { code })
      })
    }

    it('refuses post-copy into memory that lies in a file, before QEMU is asked, and no pre-copy', async () => {
      const file = parseMaps(readFileSync('/proc/self/maps', 'utf8')).find(({ path }) => path === process.execPath)!
      const blocks = [{ name: 'pc.ram', bytes: 4096, address: file.start }]
      const side = await createIncoming({ qmp, clock, log }, { ...init, blocks })
      await side.check({ mode: 'precopy' })
      await assert.rejects(side.check({ mode: 'postcopy' }), {
        code: 'postcopy-impossible', message: /pc\.ram of vm at the destination lies in a file/,
      })
      await assert.rejects(side.check({ mode: 'postcopy', host: 'b' }), { message: /on b lies in a file/ })
      assert.deepEqual(qmp.changes, [])
    })

    it('takes no other failure for a refusal of post-copy', async () => {
      qmp.answers['migrate-set-capabilities'] = () => { throw qmpTimeout('/nowhere', 'migrate-set-capabilities', 5) }
      await assert.rejects(incoming.check({ mode: 'postcopy' }), { code: 'qmp-timeout' })
    })

    it('tries post-copy only where it is off, and turns it off again', async () => {
      const set = (on: boolean) =>
        ['migrate-set-capabilities', { capabilities: [{ capability: 'postcopy-ram', state: on }] }]
      await incoming.check({ mode: 'postcopy' })
      assert.deepEqual(qmp.changes, [set(true), set(false)])
      qmp.said.length = 0
      qmp.answers['query-migrate-capabilities'] = () => [{ capability: 'postcopy-ram', state: true }]
      await incoming.check({ mode: 'postcopy' })
      await incoming.check({ mode: 'precopy' })
      assert.deepEqual(qmp.changes, [])
    })

    it('lets a guest run that ran or slept, and leaves the disks of post-copy to QEMU', async () => {
      const cases = [['suspended', 'paused', 'completed', ['cont']], ['paused', 'inmigrate', 'postcopy-active', []],
        ['paused', 'paused', 'completed', ['blockdev-set-active']],
        ['running', 'internal-error', 'completed', ['blockdev-set-active']]] as const
      for (const [runState, now, stands, expected] of cases) {
        state = now
        status = stands
        qmp.said.length = 0
        assert.equal(await incoming.release(runState), now)
        assert.deepEqual(words(), expected, `${runState} ${now}`)
      }
    })

    describe('for the disks of a paused guest', () => {
      let directory: string
      let taken: string
      let free: string
      let descriptor: number

      beforeEach(() => {
        directory = mkdtempSync('/tmp/sidewords-')
        taken = join(directory, 'taken')
        free = join(directory, 'free')
        for (const path of [taken, free]) writeFileSync(path, '')
        descriptor = openSync(taken, 'r+')
        state = 'paused'
        status = 'completed'
      })
      afterEach(() => {
        closeSync(descriptor)
        rmSync(directory, { recursive: true })
      })

      const unseen = '/nowhere/disk'
      const cases: [string, () => string[], boolean, RegExp | undefined][] = [
        ['are all taken', () => [taken], false, undefined],
        ['are all taken, though QEMU refused to do so twice', () => [taken], true, undefined],
        ['cannot be seen, and QEMU said that it took them', () => [taken, unseen], false, undefined],
        ['cannot be seen all, and QEMU refused', () => [taken, unseen], true, /cannot run: in use/],
        ['are not taken, whatever QEMU said', () => [taken, free], false, /its disk .*free is held by somebody else/],
        ['are not taken, and QEMU refused', () => [free, unseen], true, /its disk .*free is held by somebody else/],
      ]
      for (const [what, paths, isRefused, expected] of cases) {
        it(`looks whether they ${what}`, async () => {
          qmp.answers['query-block'] = () => paths().map((file) => ({ inserted: { file, ro: false } }))
          if (isRefused) qmp.answers['blockdev-set-active'] = () => { throw refusal('blockdev-set-active', 'in use') }
          if (expected === undefined) assert.equal(await incoming.release('paused'), 'paused')
          else await assert.rejects(incoming.release('paused'), { code: 'guest-cannot-run', message: expected })
          assert.deepEqual(words(), ['blockdev-set-active'])
        })
      }
    })

    it('waits half a minute for a copy to end, also where it went before it answered', async () => {
      const ending = incoming.end().then(() => 'ended', (error: unknown) => error)
      await clock.run(29_999)
      assert.equal(clock.pendingCount, 1)
      await clock.run(30_000)
      const error = await ending as { code: string; phase: string; message: string }
      assert.deepEqual([error.code, error.phase], ['timeout', 'ending a copy'])
      qmp.answers['quit'] = () => { throw qmpTimeout('/nowhere', 'quit', 5) }
      qmp.answers['query-status'] = () => { throw qmpTimeout('/nowhere', 'query-status', 5) }
      const again = incoming.end()
      qmp.end()
      await again
      assert.equal(clock.pendingCount, 0)
    })
  })
})
