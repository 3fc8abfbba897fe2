/** Handoffs whose streams are carried by worker threads at both ends. */
import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'

import { createCluster, ensureImage, type LabCluster, type LabGuest } from '../../testnet/index.ts'
import { expectArrivedWhole, expectExactCounts, moveToStandstill, skipWithoutLab } from './labmove.ts'

const SETUP_TIMEOUT_MS = 600_000
const TEST_TIMEOUT_MS = 240_000
const MEMORY_MIB = 256
const REFS_MIN = 1000

describe('handoff in worker threads', function () {
  this.timeout(TEST_TIMEOUT_MS)
  let cluster: LabCluster | undefined
  let home: LabGuest
  const started: LabGuest[] = []

  before(async function () {
    await skipWithoutLab.call(this)
    this.timeout(SETUP_TIMEOUT_MS)
    await ensureImage()
    cluster = await createCluster({ hosts: ['a', 'b'], settings: { handoff: { threads: 1 } } })
    home = await start('a', 'web', false)
    // Guests that are like it, for refs at either end.
    const alike = [await start('a', 'near', false), await start('b', 'far', false)]
    for (const guest of [home, ...alike]) await guest.ready()
    await cluster.settled()
  })

  after(async () => {
    for (const guest of started) await guest.stop()
    await cluster?.close()
  })

  async function start(host: string, name: string, incoming: boolean): Promise<LabGuest> {
    const guest = await cluster!.startGuest(host, { name, work: 'idle', memoryMiB: MEMORY_MIB, incoming })
    started.push(guest)
    return guest
  }

  /** How many threads for passages this host's agent has. */
  function threadsOf(host: string): number {
    const folder = `/proc/${cluster!.agent(host).pid}/task`
    return readdirSync(folder)
      .filter((task) => readFileSync(`${folder}/${task}/comm`, 'utf8').startsWith('passage')).length
  }

  for (const [mode, from, to] of [['precopy', 'a', 'b'], ['postcopy', 'b', 'a']] as const) {
    it(`in ${mode}, memory equal byte for byte, with references`, async () => {
      const destination = await start(to, 'web', true)
      const result = await moveToStandstill(cluster!, { from, to, source: home }, { mode })
      await expectExactCounts(result, home)
      await expectArrivedWhole(home, destination, MEMORY_MIB)
      assert.ok(result.pages.ref > REFS_MIN, JSON.stringify(result.pages))
      assert.deepEqual([threadsOf('a'), threadsOf('b')], [1, 1])
      await home.stop()
      home = destination
    })
  }
})
