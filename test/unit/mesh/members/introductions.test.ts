import assert from 'node:assert/strict'

import { NamePins } from '../../../../src/mesh/index.ts'
import { decodeAnnouncement, encodeAnnouncement, type Announcement } from '../../../../src/mesh/members/announcement.ts'
import { Introductions } from '../../../../src/mesh/members/introductions.ts'
import { Redialer } from '../../../../src/mesh/members/redialer.ts'
import { silentLog } from '../../../../src/runtime/log.ts'
import { systemRandom } from '../../../../src/runtime/random.ts'
import { VirtualClock } from '../../../support/time.ts'

const MEMBERS = ['peerM']

function started({ laneAddress = '0.0.0.0:4002', pins }: { laneAddress?: string; pins?: NamePins } = {}) {
  const clock = new VirtualClock()
  const dials: string[] = []
  const announced: (Announcement | undefined)[] = []
  const redialer = new Redialer({ clock, log: silentLog, random: systemRandom }, {
    selfPeerId: () => 'peerA',
    isConnected: () => false,
    dial: async (address) => {
      dials.push(address)
      throw new Error('nobody there')
    },
  })
  const introductions = new Introductions({ clock, log: silentLog }, {
    self: { name: 'a', peerId: 'peerA' },
    addresses: () => ['/ip4/10.0.0.1/tcp/4001'],
    laneAddress, pins, redialer,
    memberCount: () => MEMBERS.length,
    isMember: (peerId) => MEMBERS.includes(peerId),
    publish: async (message) => { announced.push(decodeAnnouncement(message)) },
  })
  /** What was dialed for an announcement of this host, told by `via`. */
  const hear = async (name: string, peerId: string, via = 'peerM'): Promise<string[]> => {
    const announcement = { version: 1 as const, name, peerId, addresses: ['/ip4/10.0.0.3/tcp/1'] }
    introductions.heard(encodeAnnouncement(announcement), peerId, via)
    await clock.run(clock.now())
    return dials.splice(0)
  }
  return { clock, introductions, redialer, announced, hear }
}

const OWN = { version: 1, name: 'a', peerId: 'peerA', addresses: ['/ip4/10.0.0.1/tcp/4001'] }

describe('introductions', () => {
  it('say where this host is, and where its lanes are if that is a place of its own', async () => {
    for (const [laneAddress, expected] of [
      ['0.0.0.0:4002', OWN], ['[::]:4002', OWN], ['192.168.7.1:4002', { ...OWN, lane: '192.168.7.1:4002' }],
    ] as const) {
      const { clock, introductions, announced } = started({ laneAddress })
      introductions.start()
      await clock.run(15_000)
      assert.deepEqual(announced, [expected])
      introductions.announceSoon()
      await clock.run(16_000)
      assert.deepEqual(announced, [expected, expected])
      introductions.stop()
      assert.equal(clock.pendingCount, 0)
    }
  })

  it('let this host dial whoever announces itself, if a member passed that on, and keep where it is', async () => {
    const { introductions, redialer, hear } = started()
    assert.deepEqual(introductions.hostsOf('peerC'), [])
    assert.deepEqual(await hear('c', 'peerC', 'peerX'), [], 'nobody who is here told of it')
    assert.deepEqual(introductions.hostsOf('peerC'), [])
    assert.deepEqual(await hear('c', 'peerC'), ['/ip4/10.0.0.3/tcp/1/p2p/peerC'])
    assert.deepEqual(introductions.hostsOf('peerC'), ['10.0.0.3'])
    await redialer.stop()
  })

  it('never let it dial itself, nor who has the name of another', async () => {
    const pins = new NamePins({ clock: new VirtualClock(), log: silentLog })
    pins.trust('c', 'peerC')
    const { introductions, redialer, hear } = started({ pins })
    assert.deepEqual(await hear('a', 'peerA'), [])
    assert.deepEqual(await hear('c', 'peerX'), [])
    assert.deepEqual([introductions.hostsOf('peerA'), introductions.hostsOf('peerX')], [[], []])
    assert.equal((await hear('c', 'peerC')).length, 1)
    assert.equal((await hear('d', 'peerD')).length, 1)
    await redialer.stop()
  })
})
