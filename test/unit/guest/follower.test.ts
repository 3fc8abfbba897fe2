import { strict as assert } from 'node:assert'

import { StatusFollower } from '../../../src/guest/follower.ts'
import type { MigrationNews } from '../../../src/guest/index.ts'
import { until } from '../../support/endpointcontract.ts'
import { FakeMachine } from './fakemachine.ts'

describe('following a migration\'s status', () => {
  let machine: FakeMachine
  let follower: StatusFollower
  let news: MigrationNews[]

  beforeEach(async () => {
    machine = await FakeMachine.start()
    machine.capabilities['events'] = true
    news = []
    follower = new StatusFollower(machine.components)
    follower.follow((one) => news.push(one))
  })

  afterEach(() => machine.close())

  function statuses(): string[] {
    return news.map(({ status }) => status)
  }

  it('tells each in order, and none twice in a row', async () => {
    for (const status of ['setup', 'active', 'active', 'completed']) machine.reach(status)
    await until(() => news.length === 3)
    assert.deepEqual(statuses(), ['setup', 'active', 'completed'])
  })

  it('tells why a migration failed, before what comes next', async () => {
    machine.error = 'no route'
    machine.reach('failed')
    machine.reach('setup')
    await until(() => news.length === 2)
    assert.deepEqual(news, [{ status: 'failed', error: 'no route' }, { status: 'setup' }])
  })

  it('tells that it failed although QEMU ended right after', async () => {
    machine.special['query-migrate'] = () => 'silence'
    machine.reach('failed')
    await until(() => machine.fake.commands.includes('query-migrate'))
    machine.alive = false
    await machine.fake.close()
    await machine.session.gone
    await follower.told()
    assert.deepEqual(news, [{ status: 'failed' }])
  })

  it('asks after the connection was lost, and tells what it missed', async () => {
    machine.reach('active')
    await until(() => news.length === 1)
    machine.fake.hangUp()
    machine.status = 'completed'
    await until(() => news.length === 2)
    assert.deepEqual(statuses(), ['active', 'completed'])
    machine.fake.hangUp()
    await machine.session.execute('query-status')
    await follower.told()
    assert.equal(news.length, 2)
  })

  it('does not take the end of an earlier migration for news', async () => {
    machine.status = 'cancelled'
    await follower.learn()
    machine.fake.hangUp()
    await machine.session.execute('query-status')
    await follower.told()
    assert.deepEqual(news, [])
  })

  it('tells the end of a migration also where the one before it ended alike', async () => {
    machine.status = 'completed'
    await follower.expect(async () => machine.session.execute('migrate'))
    machine.fake.hangUp()
    await until(() => news.length === 1)
    assert.deepEqual(statuses(), ['completed'])
  })

  it('knows nothing new when the migration did not begin', async () => {
    machine.status = 'failed'
    await assert.rejects(follower.expect(() => Promise.reject(new Error('refused'))), /refused/)
    machine.fake.hangUp()
    await machine.session.execute('query-status')
    await follower.told()
    assert.deepEqual(news, [])
  })
})
