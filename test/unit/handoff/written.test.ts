import assert from 'node:assert/strict'

import { deferred } from '../../../src/runtime/wait.ts'
import { until } from '../passage/relay.ts'
import { Ends } from './bothends.ts'

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
})
