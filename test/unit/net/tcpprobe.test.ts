import assert from 'node:assert/strict'

import { tryToConnect } from '../../../src/net/tcpprobe.ts'
import { systemClock } from '../../../src/runtime/clock.ts'

describe('trying to connect', () => {
  it('says why it failed', async () => {
    const refused = await tryToConnect(systemClock, { host: '127.0.0.1', port: 1 }, 2000)
    assert.deepEqual(refused, { address: '127.0.0.1:1', why: 'ECONNREFUSED' })
    const { why } = await tryToConnect(systemClock, { host: 'nowhere.invalid', port: 1 }, 10_000)
    assert.notEqual(why, null)
  })
})
