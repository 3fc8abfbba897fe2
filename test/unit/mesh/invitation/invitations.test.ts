import assert from 'node:assert/strict'

import { CONTROL_LIMITS } from '../../../../src/daemon/control/index.ts'
import { INVITATION_LIMITS, Invitations, KeyRing, type InvitationNews } from '../../../../src/mesh/index.ts'
import { decodeToken, markOf } from '../../../../src/mesh/invitation/token.ts'
import { systemRandom } from '../../../../src/runtime/random.ts'
import { VirtualClock } from '../../../support/time.ts'

const KEY = new Uint8Array(32).fill(3)
const WHO = { name: 'host-d', from: '10.0.0.4' }
const HOUR_MS = 3_600_000

describe('the invitations of a host', () => {
  let clock: VirtualClock
  let ring: KeyRing
  let invitations: Invitations
  let news: InvitationNews[]

  beforeEach(() => {
    clock = new VirtualClock()
    ring = new KeyRing({ used: KEY })
    invitations = new Invitations({ clock, random: systemRandom }, { keys: ring })
    news = []
    invitations.onNews = (one) => news.push(one)
  })

  const open = (init: Partial<{ ttlMs: number; uses: number }> = {}) =>
    decodeToken(invitations.open({ ttlMs: HOUR_MS, uses: 1, ...init }).token)

  it('have limits as the commands and the README say', () => {
    assert.deepEqual(INVITATION_LIMITS, {
      open: 64, known: 256, rememberedMs: 86_400_000, ttlMsMin: 1_000, ttlMsMax: 604_800_000, usesMax: 100,
    })
    const { ttlMsMax, usesMax } = INVITATION_LIMITS
    assert.deepEqual(CONTROL_LIMITS.invitation, { ttlMsMax, usesMax })
  })

  it('have tokens of their own each, with the secret by which they are known, and the mark of the key', () => {
    const [one, other] = [open(), open()]
    assert.notEqual(one.id, other.id)
    assert.notDeepEqual(one.secret, other.secret)
    assert.deepEqual(invitations.secretOf(one.id), one.secret)
    assert.deepEqual(one.mark, markOf(KEY))
    assert.equal(invitations.secretOf('00'.repeat(16)), undefined)
    assert.equal(invitations.redeem('00'.repeat(16), WHO, false), 'expired')
  })

  it('are good once, unless more was said, and tell who came', () => {
    const { id } = open()
    assert.deepEqual(invitations.redeem(id, WHO, false), { clusterKey: KEY })
    assert.equal(invitations.redeem(id, WHO, false), 'used')
    const twice = open({ uses: 2 })
    assert.deepEqual([1, 2, 3].map(() => invitations.redeem(twice.id, WHO, false)),
      [{ clusterKey: KEY }, { clusterKey: KEY }, 'used'])
    assert.deepEqual(invitations.counts, { open: 0, joined: 3, refused: 2 })
    assert.deepEqual(news.slice(0, 3), [
      { event: 'invited', invitation: id.slice(0, 8), uses: 1, ttlMs: HOUR_MS },
      { event: 'joined', invitation: id.slice(0, 8), ...WHO },
      { event: 'join-refused', invitation: id.slice(0, 8), from: WHO.from, why: 'used' },
    ])
  })

  it('tell nobody the secret or the key', () => {
    const { id, secret } = open()
    invitations.redeem(id, WHO, false)
    const told = JSON.stringify(news)
    for (const bytes of [secret, KEY]) {
      for (const form of ['hex', 'base64url'] as const) assert.ok(!told.includes(Buffer.from(bytes).toString(form)))
    }
    assert.ok(!told.includes(id))
  })

  it('end with their time, to the millisecond', async () => {
    const { id } = open({ uses: 2 })
    await clock.run(HOUR_MS - 1)
    assert.equal(invitations.counts.open, 1)
    assert.deepEqual(invitations.redeem(id, WHO, false), { clusterKey: KEY })
    await clock.run(HOUR_MS)
    assert.equal(invitations.counts.open, 0)
    assert.equal(invitations.redeem(id, WHO, false), 'expired')
  })

  it('keep a use for a host whose name is another\'s, but tell its name to nobody whose token is over', async () => {
    const { id } = open()
    assert.equal(invitations.redeem(id, WHO, true), 'name-taken')
    assert.deepEqual(invitations.redeem(id, WHO, false), { clusterKey: KEY })
    assert.equal(invitations.redeem(id, WHO, true), 'used')
    const late = open()
    await clock.run(HOUR_MS)
    assert.equal(invitations.redeem(late.id, WHO, true), 'expired')
  })

  it('are 64 open ones at most, and one that is over makes room', () => {
    const opened = Array.from({ length: INVITATION_LIMITS.open }, () => open())
    assert.throws(() => open(), { code: 'busy' })
    invitations.redeem(opened[0]!.id, WHO, false)
    open()
    assert.throws(() => open(), { code: 'busy' })
  })

  it('are remembered for a day after their time, and 256 in all', async () => {
    const early = open({ ttlMs: 1_000 })
    await clock.run(1_000 + INVITATION_LIMITS.rememberedMs - 1)
    open()
    assert.deepEqual(invitations.secretOf(early.id), early.secret)
    await clock.run(1_000 + INVITATION_LIMITS.rememberedMs)
    open()
    assert.equal(invitations.secretOf(early.id), undefined)
    const used = Array.from({ length: INVITATION_LIMITS.known }, () => {
      const { id } = open()
      invitations.redeem(id, WHO, false)
      return id
    })
    assert.deepEqual(used.filter((id) => invitations.secretOf(id) !== undefined), used.slice(-254))
    assert.equal(invitations.counts.open, 2)
  })

  it('made while the key is rotated give both keys, whichever the token has the mark of', () => {
    const other = new Uint8Array(32).fill(4)
    ring.set({ used: KEY, other })
    const [before, after] = [open(), open()]
    assert.deepEqual(invitations.redeem(before.id, WHO, false), {
      clusterKey: KEY, other: { clusterKey: other, isUsed: false },
    })
    ring.set({ used: other, other: KEY })
    assert.deepEqual(invitations.redeem(after.id, WHO, false), {
      clusterKey: KEY, other: { clusterKey: other, isUsed: true },
    })
    assert.deepEqual(open().mark, markOf(other))
  })

  it('are over once the key that their token has the mark of is removed', () => {
    const [{ id }, other] = [open(), new Uint8Array(32).fill(4)]
    ring.set({ used: other })
    assert.equal(invitations.redeem(id, WHO, false), 'expired')
    assert.deepEqual(invitations.redeem(open().id, WHO, false), { clusterKey: other })
  })
})
