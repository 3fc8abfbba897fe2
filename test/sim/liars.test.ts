/**
 * What lying members get of pages that only a victim holds, whatever they claim. The seed, which is in the test's name,
 * decides names, answers and order.
 */
import assert from 'node:assert/strict'

import { MadePages } from '../support/madeswap.ts'
import { LIES } from './liars/lies.ts'
import { COMMON, LiarWorld, PRIVATE } from './liars/world.ts'

const SEED = 12
const PAGES = new MadePages(PRIVATE.length + COMMON.length)
const PURPOSES = ['placement', 'handoff'] as const
const MESHES = [
  { hosts: 2, liars: 1 }, { hosts: 3, liars: 1 }, { hosts: 3, liars: 2 },
  { hosts: 20, liars: 1 }, { hosts: 20, liars: 2 },
]

describe('members that lie', function () {
  this.timeout(60_000)

  it('would get every page if reports were believed', async () => {
    const world = new LiarWorld({
      pages: PAGES, hosts: 2, liars: 1, seed: SEED, lie: LIES['claims none']!, asksForProof: false,
    })
    await world.start()
    assert.deepEqual(await world.fetched(world.liars[0]!, PRIVATE, 'handoff'), PRIVATE)
    await world.end()
  })

  for (const { hosts, liars } of MESHES) {
    for (const [index, [name, lie]] of Object.entries(LIES).entries()) {
      it(`get none of 200 private pages: ${liars} of ${hosts} hosts ${name} (seed ${SEED + index})`, async () => {
        const world = new LiarWorld({ pages: PAGES, hosts, liars, seed: SEED + index, lie })
        await world.start()
        for (const purpose of PURPOSES) {
          for (const liar of world.liars) assert.deepEqual(await world.fetched(liar, PRIVATE, purpose), [])
          await world.pass(1.5)
        }
        await world.end()
      })
    }
  }

  for (const { hosts, liars } of [{ hosts: 3, liars: 1 }, { hosts: 20, liars: 2 }]) {
    for (const [index, [name, lie]] of Object.entries(LIES).entries()) {
      it(`keep no host from common pages: ${liars} of ${hosts} hosts ${name} (seed ${SEED + index})`, async () => {
        const world = new LiarWorld({ pages: PAGES, hosts, liars, seed: SEED + index, lie })
        await world.start()
        await world.addNewcomer('newcomer')
        const got = await world.fetched('newcomer', [...PRIVATE, ...COMMON], 'handoff')
        assert.deepEqual(got, COMMON)
        await world.end()
      })
    }
  }
})
