import { strict as assert } from 'node:assert'
import { setTimeout } from 'node:timers/promises'

import { PagemeshError } from '../../../src/runtime/errors.ts'
import { until } from '../../support/endpointcontract.ts'
import { FakeMachine } from './fakemachine.ts'

function isError(code: string): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof PagemeshError, String(error))
    assert.equal(error.code, code)
    return true
  }
}

describe('a QMP session', () => {
  let machine: FakeMachine

  beforeEach(async () => { machine = await FakeMachine.start() })
  afterEach(() => machine.close())

  it('goes on over a new connection while the process lives', async () => {
    const events: string[] = []
    let reopened = 0
    machine.session.onEvent((event) => events.push(event.name))
    machine.session.onReopened(() => { reopened++ })
    machine.fake.event('STOP')
    await machine.session.execute('query-status')
    machine.fake.hangUp()
    assert.deepEqual(await machine.session.execute('query-status'), { status: 'running' })
    assert.equal(reopened, 1)
    machine.fake.event('RESUME')
    await machine.session.execute('query-status')
    assert.deepEqual(events, ['STOP', 'RESUME'])
  })

  it('says a question again whose answer was lost', async () => {
    let asked = 0
    machine.special['query-status'] = () => {
      if (++asked > 1) return { value: 'answered' }
      machine.fake.hangUp()
      return 'silence'
    }
    assert.equal(await machine.session.execute('query-status'), 'answered')
    assert.equal(asked, 2)
  })

  it('never says a command twice that must not be, and says that its answer was lost', async () => {
    for (const command of ['migrate', 'migrate-incoming', 'quit']) {
      machine.special[command] = () => {
        machine.fake.hangUp()
        return 'silence'
      }
      await assert.rejects(machine.session.execute(command), isError('qmp-interrupted'))
      await machine.session.execute('query-status')
      assert.equal(machine.fake.commands.filter((said) => said === command).length, 1)
    }
  })

  it('hands on what QEMU refuses, and what it does not answer in time', async () => {
    machine.special['cont'] = () => ({ errorClass: 'GenericError', description: 'no' })
    await assert.rejects(machine.session.execute('cont'), isError('qmp-error'))
    machine.special['stop'] = () => 'silence'
    await assert.rejects(machine.session.execute('stop', {}, 20), isError('qmp-timeout'))
  })

  it('lets a command wait for a connection no longer than its time', async () => {
    await machine.fake.close()
    await assert.rejects(machine.session.execute('query-status', {}, 50), isError('timeout'))
  })

  it('is not over as long as the process lives, and is when it has ended, after all that QEMU said', async () => {
    const order: string[] = []
    machine.session.onEvent((event) => order.push(event.name))
    void machine.session.gone.then((error) => order.push((error as PagemeshError).code))
    machine.fake.hangUp()
    await machine.session.execute('query-status')
    machine.fake.event('LAST')
    machine.alive = false
    await machine.fake.close()
    await machine.session.gone
    await until(() => order.length === 2)
    assert.deepEqual(order, ['LAST', 'guest-gone'])
    await assert.rejects(machine.session.execute('query-status'), isError('guest-gone'))
  })

  it('notices the end of the process although another holds the socket', async () => {
    machine.fake.greeting = ''
    const { connectionCount } = machine.fake
    machine.fake.hangUp()
    await until(() => machine.fake.connectionCount > connectionCount)
    machine.alive = false
    await machine.session.gone
  })

  it('that was closed does not connect again, and is not taken for gone', async () => {
    let isGone = false
    void machine.session.gone.then(() => { isGone = true })
    await machine.session.close()
    await machine.session.close()
    await assert.rejects(machine.session.execute('query-status'), isError('guest-gone'))
    assert.equal(isGone, false)
    assert.deepEqual(machine.fake.commands, ['qmp_capabilities'])
  })

  it('that is closed while it has no connection lets nobody wait', async () => {
    await machine.fake.close()
    const waiting = machine.session.execute('query-status')
    await setTimeout(10)
    await machine.session.close()
    await assert.rejects(waiting, isError('guest-gone'))
  })
})
