/** Real meshes on loopback: both ends must know each other by the same peer ids. */
import assert from 'node:assert/strict'

import { Standing, type Mesh } from '../../../src/mesh/index.ts'
import { createPossession } from '../../../src/possession/index.ts'
import { systemClock } from '../../../src/runtime/clock.ts'
import { silentLog } from '../../../src/runtime/log.ts'
import { systemRandom } from '../../../src/runtime/random.ts'
import { hasher, MadePages, range } from '../../support/madeswap.ts'
import { libp2pMesh, until } from '../../support/meshes.ts'
import { heldBatch, INTERVAL_MS, KEY, residentPages } from './made.ts'

describe('possession over libp2p', () => {
  it('is proven to a holder', async () => {
    const pages = new MadePages(200)
    const possessionOf = (mesh: Mesh, named: string[]) => createPossession({
      clock: systemClock, random: systemRandom, log: silentLog, mesh, hasher,
      standing: new Standing({ clock: systemClock }),
      resident: residentPages(pages, (number) => number < 150), namedHolders: () => named,
    }, { keys: () => [KEY], minHosts: 2, intervalMs: INTERVAL_MS })
    const witnessMesh = libp2pMesh('witness')
    const witness = possessionOf(witnessMesh, [])
    await witnessMesh.start()
    await witness.start()
    const mesh = libp2pMesh('holder', { bootstrap: [witnessMesh.self.address] })
    const holder = possessionOf(mesh, ['witness'])
    await mesh.start()
    await holder.start()
    await until(() => mesh.member('witness') !== undefined && witnessMesh.member('holder') !== undefined, 'both meet')
    const mayLeave = await holder.confirm(heldBatch(pages, range(200)), {
      asker: { name: 'asker', peerId: 'asker', address: '' }, isUrgent: false, signal: new AbortController().signal,
    })
    assert.deepEqual(range(200).filter((number) => mayLeave[number] === 1), range(150))
    assert.deepEqual(holder.counts, { proven: 150, missing: 50, wrong: 0 })
    for (const part of [holder, witness, mesh, witnessMesh]) await part.stop()
  })
})
