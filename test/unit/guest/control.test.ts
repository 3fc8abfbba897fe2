import { strict as assert } from 'node:assert'
import { mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'

import { GuestControl } from '../../../src/guest/control.ts'
import { isBusy } from '../../../src/guest/qmperror.ts'
import { queryState } from '../../../src/guest/status.ts'
import { systemClock } from '../../../src/runtime/clock.ts'
import { silentLog } from '../../../src/runtime/log.ts'
import { until } from '../../support/endpointcontract.ts'
import { VirtualClock } from '../../support/time.ts'
import { FakeQemu } from './fakeqemu.ts'

const never = new AbortController().signal

describe('a guest\'s QMP socket, shared with its operator', () => {
  let directory: string
  let fake: FakeQemu
  let control: GuestControl
  let alive: boolean

  beforeEach(async () => {
    directory = mkdtempSync('/tmp/control-test-')
    fake = await FakeQemu.listen(join(directory, 'vm.qmp'))
    fake.answer = (command) => ({ value: command === 'query-status' ? { status: 'running' } : {} })
    control = new GuestControl(join(directory, 'vm.qmp'), { clock: systemClock, log: silentLog })
    alive = true
  })

  afterEach(async () => {
    await fake.close()
    rmSync(directory, { recursive: true })
  })

  const hold = (signal = never) => control.hold({ signal, isAlive: () => alive })
  /** How often somebody connected, as each begins with a greeting. */
  const connections = (): number => fake.commands.filter((command) => command === 'qmp_capabilities').length

  it('is free again after each visit, also one that failed', async () => {
    assert.equal(await control.visit(queryState), 'running')
    await assert.rejects(control.visit(async () => { throw new Error('no answer') }), /no answer/)
    assert.equal(control.held, false)
    await until(() => fake.clientCount === 0)
    assert.equal(connections(), 2)
  })

  it('is not waited for any longer once the visitor gives up', async () => {
    const operator = await hold()
    const other = new GuestControl(control.path, { clock: systemClock, log: silentLog })
    const abort = new AbortController()
    const visiting = other.visit(queryState, abort.signal)
    abort.abort(new Error('enough'))
    await assert.rejects(visiting, /enough/)
    await operator.close()
  })

  it('is waited for a second by a visitor, and five by a session', async () => {
    const operator = await hold()
    for (const [limitMs, ask] of [
      [1_000, (other: GuestControl) => other.visit(queryState)],
      [5_000, (other: GuestControl) => other.hold({ signal: never, isAlive: () => true })],
    ] as const) {
      const clock = new VirtualClock()
      let refusedAt = -1
      const asking = ask(new GuestControl(control.path, { clock, log: silentLog })).catch((error: unknown) => {
        assert.equal(isBusy(error), true)
        refusedAt = clock.now()
      })
      await clock.run(limitMs - 1)
      assert.equal(clock.pendingCount, 1)
      await clock.run(limitMs)
      await asking
      assert.equal(refusedAt, limitMs)
    }
    await operator.close()
  })

  it('is held by a session, over which visits go, until that is closed', async () => {
    const session = await hold()
    assert.equal(control.held, true)
    assert.equal(await control.visit(queryState), 'running')
    assert.equal(connections(), 1)
    await session.close()
    await session.close()
    assert.equal(control.held, false)
    assert.equal(await control.visit(queryState), 'running')
    assert.equal(connections(), 2)
  })

  it('is held by one session at a time, from when it is opened', async () => {
    const opening = hold()
    await assert.rejects(hold(), { code: 'guest-busy', fault: 'usage', data: { path: control.path } })
    const session = await opening
    await assert.rejects(hold(), { code: 'guest-busy' })
    await session.close()
    const next = await hold()
    // The end of the one before is not the end of this one.
    await session.close()
    assert.equal(control.held, true)
    await assert.rejects(hold(), { code: 'guest-busy' })
    await next.close()
  })

  it('is held by nobody where a session could not be opened', async () => {
    fake.greeting = ''
    const abort = new AbortController()
    const opening = hold(abort.signal)
    abort.abort(new Error('enough'))
    await assert.rejects(opening, /enough/)
    assert.equal(control.held, false)
    await fake.close()
    await assert.rejects(hold(), { code: 'guest-gone' })
    fake = await FakeQemu.listen(control.path)
    const session = await hold()
    await session.close()
  })

  it('outlives the signal with which it was opened, and connections that are lost', async () => {
    const abort = new AbortController()
    const session = await hold(abort.signal)
    abort.abort(new Error('too late'))
    let reopened = 0
    session.onReopened(() => { reopened += 1 })
    const events: string[] = []
    session.onEvent(({ name }) => events.push(name))
    fake.hangUp()
    assert.deepEqual(await session.execute('query-status'), { status: 'running' })
    fake.event('STOP')
    await until(() => events.length === 1)
    assert.deepEqual([control.held, reopened, events, session.version], [
      true, 1, ['STOP'], { major: 7, minor: 2, micro: 22 },
    ])
    fake.answer = (command, args) => ({ value: `${command} ${JSON.stringify(args)}` })
    assert.equal(await session.hmp('info'), 'human-monitor-command {"command-line":"info"}')
    assert.equal(await session.executeOutOfBand('migrate-recover', { uri: 'a' }), 'migrate-recover {"uri":"a"}')
    await session.close()
  })

  it('is free once the guest\'s process has ended', async () => {
    const session = await hold()
    alive = false
    await fake.close()
    await session.gone
    await until(() => !control.held)
    await session.close()
  })
})
