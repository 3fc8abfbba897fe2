/** QEMUs that end and are started again under their name, and are moved before any agent has looked again. */
import assert from 'node:assert/strict'

import { compareArrived, ensureImage } from '../../testnet/index.ts'
import { skipWithoutLab } from '../support/labmove.ts'
import { TwoHosts } from './twohosts.ts'

const SETUP_TIMEOUT_MS = 600_000
const TEST_TIMEOUT_MS = 120_000
const MEMORY_MIB = 96

describe('a QEMU restarted under its name and moved at once', function () {
  this.timeout(TEST_TIMEOUT_MS)
  let hosts: TwoHosts

  before(async function () {
    await skipWithoutLab.call(this)
    this.timeout(SETUP_TIMEOUT_MS)
    await ensureImage()
    hosts = await TwoHosts.create()
    await hosts.joined()
  })

  afterEach(async function () {
    if (this.currentTest?.isFailed() === true) console.log(hosts.evidence())
    await hosts.stopAll()
    await hosts.expectFree()
  })

  after(() => hosts?.close())

  for (const { restarted, name } of [
    { restarted: ['a'], name: 'source' }, { restarted: ['b'], name: 'destination' },
    { restarted: ['a', 'b'], name: 'both' },
  ]) {
    it(`arrives whole: ${restarted.join(' and ')}`, async () => {
      const first = [await hosts.start('a', { name }), await hosts.start('b', { name, incoming: true })]
      await hosts.seen(...first)
      const [source, destination] = await Promise.all(first.map(async (witness) => {
        if (!restarted.includes(witness.host)) return witness
        await hosts.stop(witness)
        return await hosts.start(witness.host, { name, incoming: witness.host === 'b' })
      }))
      await source!.client.execute('stop')
      const { words, errors } = await hosts.migrate('a', name, 'b')
      assert.deepEqual([words?.status, words?.arrivedState], ['completed', 'paused'], errors)
      const { comparedBytes, differences } = await compareArrived(source!.guest, destination!.guest)
      assert.deepEqual(differences, [])
      assert.ok(comparedBytes >= MEMORY_MIB * 2 ** 20)
    })
  }
})
