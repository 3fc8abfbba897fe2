import { strict as assert } from 'node:assert'

import { createIncoming } from '../../../src/guest/incoming.ts'
import type { IncomingMigration } from '../../../src/guest/index.ts'
import { qmpTimeout } from '../../../src/guest/qmperror.ts'
import { PagemeshError } from '../../../src/runtime/errors.ts'
import { silentLog } from '../../../src/runtime/log.ts'
import { VirtualClock } from '../../support/time.ts'
import { refusal, ScriptedQmp } from './scriptedqmp.ts'

const PID = 1234

/** The source's host keeps the guest, and this QEMU, which was to take it, does not answer any more. */
describe('a waiting QEMU that answers nobody', () => {
  let clock: VirtualClock
  let qmp: ScriptedQmp
  let incoming: IncomingMigration
  let killCount: number
  let warnings: unknown[][]
  let whenKilled: () => void

  beforeEach(async () => {
    clock = new VirtualClock()
    qmp = new ScriptedQmp({ 'query-migrate': () => ({ status: 'none' }) })
    killCount = 0
    warnings = []
    whenKilled = () => qmp.end()
    const log = { ...silentLog, warn: (...words: unknown[]) => { warnings.push(words) } }
    incoming = await createIncoming({ qmp, clock, log }, {
      guest: 'vm', process: { pid: PID, startTicks: 1 }, uid: 1, blocks: [], startsPaused: false, isApart: false,
      directory: '/nowhere', undo: undefined,
      endProcess: () => {
        killCount += 1
        whenKilled()
      },
    })
  })

  async function say(...statuses: string[]): Promise<void> {
    for (const status of statuses) qmp.event('MIGRATION', { status })
    await clock.run(clock.now())
  }

  function fallSilent(...commands: string[]): void {
    for (const command of commands) qmp.answers[command] = () => { throw qmpTimeout('/nowhere', command, 3000) }
  }

  async function end(): Promise<unknown> {
    const ending = incoming.end().then(() => 'ended', (error: unknown) => error)
    await clock.run(clock.now() + 30_000)
    return await ending
  }

  async function expectLeft(): Promise<void> {
    const error = await end()
    assert.ok(error instanceof PagemeshError && error.code === 'guest-silent', String(error))
    assert.match(error.message, /process 1234, does not answer, and its guest may have run\.$/)
    assert.match(String(error.advice), /kill -KILL 1234$/)
    assert.equal(killCount, 0)
  }

  for (const statuses of [['setup'], ['setup', 'active']]) {
    it(`is killed where it said ${statuses.join(' and ')} and no more: its guest has not run`, async () => {
      await say(...statuses)
      fallSilent('query-status', 'quit')
      assert.equal(await end(), 'ended')
      assert.equal(killCount, 1)
      assert.deepEqual(qmp.changes, [['quit', {}]], 'it was asked before')
      assert.deepEqual(warnings, [['a waiting QEMU that did not answer was ended', { guest: 'vm', pid: PID }]])
    })
  }

  for (const status of ['completed', 'failed', 'postcopy-active', 'postcopy-paused']) {
    it(`is left alone where it said ${status}`, async () => {
      await say('setup', 'active', status)
      fallSilent('query-status', 'quit')
      await expectLeft()
    })
  }

  it('is left alone where nothing was heard of its migration', async () => {
    fallSilent('query-status', 'quit')
    await expectLeft()
  })

  it('is left alone where it let its guest run, whenever that was', async () => {
    qmp.event('RESUME', {})
    await say('setup', 'active')
    fallSilent('query-status', 'quit')
    await expectLeft()
  })

  it('is left alone where it may have said something that nobody heard', async () => {
    await say('setup', 'active')
    qmp.answers['query-migrate'] = () => ({ status: 'active' })
    qmp.reopen()
    await clock.run(clock.now())
    fallSilent('query-status', 'quit')
    await expectLeft()
  })

  it('is left alone where it answers one of two questions', async () => {
    await say('setup', 'active')
    qmp.answers['query-status'] = () => ({ status: 'inmigrate' })
    fallSilent('quit')
    const late = await end() as PagemeshError
    assert.deepEqual([late.code, killCount], ['timeout', 0])
    fallSilent('query-status')
    qmp.answers['quit'] = () => { throw refusal('quit') }
    assert.equal((await end() as PagemeshError).code, 'qmp-error')
    qmp.answers['query-status'] = () => ({ status: 'running' })
    fallSilent('quit')
    assert.equal((await end() as PagemeshError).code, 'guest-runs')
    assert.equal(killCount, 0)
  })

  it('is told of where nobody may kill it, or a kill does not help', async () => {
    await say('setup', 'active')
    fallSilent('query-status', 'quit')
    whenKilled = () => { throw new Error('no right') }
    assert.match(String(await end()), /no right/)
    assert.deepEqual(warnings, [])
    whenKilled = () => {}
    assert.match((await end() as PagemeshError).message, /process 1234, does not answer, and killing it did nothing\.$/)
  })

  it('needs no kill where it ends by itself', async () => {
    fallSilent('query-status', 'quit')
    const ending = incoming.end()
    qmp.end()
    await ending
    assert.deepEqual([killCount, clock.pendingCount], [0, 0])
  })

  it('has three seconds for each answer', async () => {
    await say('setup', 'active')
    fallSilent('query-status', 'quit')
    await end()
    assert.deepEqual(qmp.limitsMs.slice(-2), [3000, 3000])
  })
})
