import assert from 'node:assert/strict'

import { deferred } from '../../../src/runtime/wait.ts'
import { Ends } from '../../support/bothends.ts'
import { until } from '../../support/passagerelay.ts'

describe('what an end promises', () => {
  it('is on the disk at the source before its QEMU is told to migrate', async () => {
    const written = deferred<void>()
    const records: string[] = []
    const ends = new Ends({
      outgoing: { record: async (as) => { records.push(as); await written.promise } },
    })
    const moving = ends.move()
    await until(() => records.includes('moving'))
    await ends.wait(1000)
    assert.ok(!ends.source.told.includes('migrate'))
    written.resolve()
    await moving
    assert.ok(ends.source.told.includes('migrate'))
  })

  it('is on the disk at the destination before its QEMU gets a byte', async () => {
    const written = deferred<void>()
    const records: string[] = []
    const ends = new Ends({
      incoming: { record: async (as) => { records.push(as); await written.promise } },
    })
    const moving = ends.move()
    await until(() => records.includes('loading'))
    await ends.wait(1000)
    assert.ok(!ends.destination.told.includes('migrate'))
    written.resolve()
    await moving
    await until(() => ends.destination.told.includes('migrate'))
  })

  it('is waited for, and nothing else that is written: a restarted agent finds that out again', async () => {
    const never = deferred<void>().promise
    const ends = new Ends({
      outgoing: { record: async (_as, runState) => { if (runState !== 'unknown') await never } },
      incoming: { record: async (as, runState) => { if (runState !== 'unknown' && as !== 'arrived') await never } },
    })
    const { result } = await ends.load()
    ends.source.become('completed')
    assert.equal((await result).status, 'completed')
  })

  it('is forgotten without waiting for the disk', async () => {
    const never = deferred<void>().promise
    const ends = new Ends({ outgoing: { forget: () => never }, incoming: { forget: () => never } })
    const { result } = await ends.load()
    ends.outgoing.cancel({ code: 'cancelled', fault: 'cancelled', message: 'Cancelled.' })
    assert.equal((await result).status, 'cancelled')
    await until(() => ends.delivered.length > 0)
  })
})
