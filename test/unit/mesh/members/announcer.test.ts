import assert from 'node:assert/strict'

import { decodeAnnouncement, encodeAnnouncement, type Announcement } from '../../../../src/mesh/members/announcement.ts'
import { Announcer } from '../../../../src/mesh/members/announcer.ts'
import { silentLog } from '../../../../src/runtime/log.ts'
import { VirtualClock } from '../../../support/time.ts'

const own: Announcement = { version: 1, name: 'a', peerId: 'peerA', addresses: ['/ip4/10.0.0.1/tcp/4001'] }

function started(memberCount = 0) {
  const clock = new VirtualClock()
  /** When this host announced itself, ms. */
  const announced: number[] = []
  const learnt: [string, string[], string][] = []
  const mesh = { memberCount, fails: false }
  const announcer = new Announcer({ clock, log: silentLog }, {
    own: () => own,
    memberCount: () => mesh.memberCount,
    publish: async (message) => {
      assert.deepEqual(decodeAnnouncement(message), own)
      announced.push(clock.now())
      if (mesh.fails) throw new Error('nobody listens')
    },
    learn: ({ peerId, addresses }, via) => learnt.push([peerId, addresses, via]),
  })
  return { clock, announcer, announced, learnt, mesh }
}

describe('an announcer', () => {
  it('speaks each quarter of a minute, more rarely where many are', async () => {
    const { clock, announcer, announced, mesh } = started(30)
    announcer.start()
    await clock.run(30_000)
    assert.deepEqual(announced, [15_000, 30_000])
    mesh.memberCount = 100
    await clock.run(200_000)
    assert.deepEqual(announced.slice(2), [45_000, 95_000, 145_000, 195_000])
  })

  it('speaks soon after somebody joined, once for all who join until then', async () => {
    const { clock, announcer, announced, mesh } = started()
    announcer.start()
    announcer.announceSoon()
    await clock.run(999)
    announcer.announceSoon()
    await clock.run(1_500)
    assert.deepEqual(announced, [1_000])
    mesh.memberCount = 20
    announcer.announceSoon()
    await clock.run(6_000)
    assert.deepEqual(announced, [1_000, 5_500])
  })

  it('says nothing before it is started and after it is stopped', async () => {
    const { clock, announcer, announced } = started()
    announcer.announceSoon()
    await clock.run(20_000)
    announcer.start()
    announcer.announceSoon()
    announcer.stop()
    announcer.announceSoon()
    await clock.run(60_000)
    assert.deepEqual([announced, clock.pendingCount], [[], 0])
  })

  it('goes on when nobody could be told', async () => {
    const { clock, announcer, announced, mesh } = started()
    mesh.fails = true
    announcer.start()
    await clock.run(45_000)
    assert.deepEqual(announced, [15_000, 30_000, 45_000])
  })

  it('believes of a peer only what that says of itself', () => {
    const { announcer, learnt } = started()
    const message = encodeAnnouncement({ ...own, peerId: 'peerB' })
    announcer.heard(message, 'peerC', 'peerC')
    announcer.heard(Buffer.from('{}'), 'peerB', 'peerB')
    assert.deepEqual(learnt, [])
    announcer.heard(message, 'peerB', 'peerC')
    assert.deepEqual(learnt, [['peerB', own.addresses, 'peerC']])
  })
})
