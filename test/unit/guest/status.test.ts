import { strict as assert } from 'node:assert'

import { isAtRest, queryBlockers, queryMigration, queryState } from '../../../src/guest/status.ts'
import { ScriptedQmp } from './scriptedqmp.ts'

describe('what QEMU says of itself', () => {
  const migration = (answer: unknown) => new ScriptedQmp({ 'query-migrate': () => answer })
  const nothing = { transferredBytes: 0, remainingBytes: 0, totalBytes: 0, dirtySyncCount: 0, dirtyBytesPerSecond: 0 }

  it('is where its migration stands', async () => {
    assert.deepEqual(await queryMigration(migration({
      status: 'completed',
      ram: {
        transferred: 1, remaining: 2, total: 3, 'dirty-sync-count': 4, duplicate: 5, 'dirty-pages-rate': 20,
        'page-size': 4096,
      },
      'total-time': 6, downtime: 7, 'error-desc': 'no route',
    })), {
      status: 'completed', transferredBytes: 1, remainingBytes: 2, totalBytes: 3, dirtySyncCount: 4,
      dirtyBytesPerSecond: 81_920, totalMs: 6, downtimeMs: 7, error: 'no route',
    })
  })

  it('is `none` where there never was a migration, and lacks what has no meaning then', async () => {
    for (const answer of [{}, { status: '' }, [], 'text', null]) {
      assert.deepEqual(await queryMigration(migration(answer)), { status: 'none', ...nothing })
    }
    assert.deepEqual(await queryMigration(migration({ status: 'active', ram: { transferred: 'x' }, 'error-desc': '' })),
      { status: 'active', ...nothing })
    assert.deepEqual(await queryMigration(migration({ status: 'active', 'total-time': 0, downtime: 0 })),
      { status: 'active', ...nothing, totalMs: 0, downtimeMs: 0 })
  })

  it('is what its guest does, and why it cannot move', async () => {
    const qmp = new ScriptedQmp({
      'query-status': () => ({ status: 'paused', running: false }),
      'query-migrate': () => ({ 'blocked-reasons': ['no', 5] }),
    })
    assert.equal(await queryState(qmp), 'paused')
    assert.deepEqual(await queryBlockers(qmp), ['no', ''])
    assert.deepEqual(await queryBlockers(migration({})), [])
  })

  it('is a migration at rest once it is over', () => {
    const atRest = ['none', 'completed', 'failed', 'cancelled']
    const others = ['setup', 'active', 'cancelling', 'pre-switchover', 'device', 'postcopy-active', 'postcopy-paused']
    assert.deepEqual([...atRest, ...others].filter(isAtRest), atRest)
  })
})
