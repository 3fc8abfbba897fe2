import assert from 'node:assert/strict'

import { KeyEpochs } from '../../../src/agent/keyepochs.ts'
import { keyEpoch, keyIdOf, KeyRing, type HeldKeys } from '../../../src/mesh/index.ts'
import { PageScopes, SHARED_TENANT } from '../../../src/page/index.ts'
import { VirtualClock } from '../../support/time.ts'

const INTERVAL_MS = 1000
const [OLD, NEW, THIRD] = [1, 2, 3].map((byte) => new Uint8Array(32).fill(byte)) as [Uint8Array, Uint8Array, Uint8Array]
const [oldId, newId, thirdId] = [OLD, NEW, THIRD].map(keyIdOf) as [string, string, string]

describe('page ids while the cluster key is rotated', () => {
  let clock: VirtualClock

  beforeEach(() => {
    clock = new VirtualClock()
  })

  function start(held: HeldKeys): { ring: KeyRing; scopes: PageScopes; epochs: KeyEpochs } {
    const ring = new KeyRing(held)
    const epoch = keyEpoch(ring.used.clusterKey)
    const scopes = new PageScopes({ epoch, tenants: [SHARED_TENANT], tenantOf: () => SHARED_TENANT })
    const epochs = new KeyEpochs({ clock, ring, scopes }, { intervalMs: INTERVAL_MS })
    ring.onChange(() => epochs.follow())
    return { ring, scopes, epochs }
  }

  it('are by both keys side by side, by the new one first once it is used, then by that alone', async () => {
    const { ring, scopes } = start({ used: OLD })
    assert.deepEqual(scopes.epochs, [oldId])
    ring.set({ used: OLD, other: NEW })
    assert.deepEqual(scopes.epochs, [oldId, newId])
    ring.set({ used: NEW, other: OLD })
    assert.deepEqual([scopes.epochs, scopes.of('web')?.epoch], [[newId, oldId], newId])
    await clock.run(100 * INTERVAL_MS)
    assert.deepEqual(scopes.epochs, [newId, oldId], 'as long as both are accepted')
    ring.set({ used: NEW })
    await clock.run(clock.now() + 2 * INTERVAL_MS)
    assert.deepEqual(scopes.epochs, [newId, oldId], 'others may be as far')
    await clock.run(clock.now() + 2 * INTERVAL_MS)
    assert.deepEqual(scopes.epochs, [newId])
    assert.equal(clock.pendingCount, 0)
  })

  it('are by the old key no longer once a third is installed', () => {
    const { ring, scopes } = start({ used: NEW, other: OLD })
    assert.deepEqual(scopes.epochs, [newId, oldId])
    ring.set({ used: NEW })
    ring.set({ used: NEW, other: THIRD })
    assert.deepEqual(scopes.epochs, [newId, thirdId])
    assert.equal(clock.pendingCount, 0)
  })

  it('leave nothing to be done after the end', () => {
    const { ring, epochs } = start({ used: NEW, other: OLD })
    ring.set({ used: NEW })
    epochs.stop()
    assert.equal(clock.pendingCount, 0)
  })
})
