import assert from 'node:assert/strict'

import { invite } from '../../../src/agent/inviting.ts'
import { Invitations, KeyRing } from '../../../src/mesh/index.ts'
import { systemRandom } from '../../../src/runtime/random.ts'
import { VirtualClock } from '../../support/time.ts'

const WEEK_MS = 7 * 24 * 3_600_000

describe('an agent\'s invitation', () => {
  const clock = new VirtualClock()
  const invitations = new Invitations({ clock, random: systemRandom }, {
    keys: new KeyRing({ used: new Uint8Array(32) }),
  })
  const ask = (ttlMs: number, uses: number) => invite({ clock, invitations }, { ttlMs, uses })

  it('says where the new host shall connect, and until when; there is none before the mesh', () => {
    assert.throws(() => ask(1_000, 1), { code: 'mesh-stopped', fault: 'usage' })
    invitations.address = '10.0.0.1:4002'
    const { token, ...others } = ask(60_000, 2)
    assert.match(token, /^pmjoin1-/)
    assert.deepEqual(others, { address: '10.0.0.1:4002', expiresAt: '2026-01-01T00:01:00.000Z', uses: 2 })
  })

  it('is good for 1 s to 7 days, and for 1 to 100 hosts', () => {
    for (const [ttlMs, uses] of [[1_000, 1], [WEEK_MS, 100]] as const) ask(ttlMs, uses)
    const wrong = [[999, 1], [WEEK_MS + 1, 1], [NaN, 1], [1_000, 0], [1_000, 101], [1_000, 1.5]] as const
    for (const [ttlMs, uses] of wrong) {
      assert.throws(() => ask(ttlMs, uses), { code: 'bad-option', fault: 'usage' }, `${ttlMs} ${uses}`)
    }
  })
})
