import assert from 'node:assert/strict'

import { behind } from '../../../src/runtime/behind.ts'
import { PagemeshError } from '../../../src/runtime/errors.ts'
import { silentLog, type Log } from '../../../src/runtime/log.ts'
import { nextTurn } from '../../../src/runtime/turn.ts'

describe('work that goes on by itself', () => {
  it('is said to have failed, with why, and otherwise nothing', async () => {
    const said: unknown[] = []
    const log: Log = { ...silentLog, warn: (message, fields) => said.push([message, fields]) }
    behind(log, 'a thing was not done', Promise.resolve(5))
    behind(log, 'another was not done', Promise.reject(
      new PagemeshError('unexpected', 'It broke.', { fault: 'host', advice: 'Mend it.' })))
    await nextTurn()
    assert.deepEqual(said, [['another was not done', { error: 'It broke. Mend it.' }]])
  })
})
