import assert from 'node:assert/strict'

import { laneHost, mayDial } from '../../../../src/mesh/lanes/lanehosts.ts'
import { AnnouncedHosts } from '../../../../src/mesh/members/announcedhosts.ts'

const NAMES: Record<string, string[]> = {
  'host-b': ['10.0.0.2'], 'lanes-b': ['192.168.7.2'], evil: ['10.0.0.9', '127.0.0.1'], mixed: ['127.0.0.1', '10.0.0.2'],
}
const asked: string[] = []
const resolve = async (name: string): Promise<string[]> => {
  asked.push(name)
  return NAMES[name] ?? []
}

async function chosen(host: string, connected: string | undefined, announced: string[] = []): Promise<string> {
  return await laneHost(host, { connected, announced }, resolve).catch((error: { code: string }) => error.code)
}

describe('the address that a lane is dialed at', () => {
  it('is the one that the member is connected over', async () => {
    for (const host of ['10.0.0.2', '0.0.0.0', '::']) assert.equal(await chosen(host, '10.0.0.2'), '10.0.0.2', host)
    assert.equal(await chosen('::ffff:10.0.0.2', '10.0.0.2'), '::ffff:10.0.0.2')
    assert.equal(await chosen('10.0.0.2', '::ffff:10.0.0.2'), '10.0.0.2')
    assert.equal(await chosen('127.0.0.1', '127.0.0.1'), '127.0.0.1')
  })

  it('is never another\'s, nor this machine\'s', async () => {
    const hosts = ['10.0.0.9', '127.0.0.1', '::1', '169.254.169.254', 'evil', 'nobody', 'localhost']
    for (const host of hosts) assert.equal(await chosen(host, '10.0.0.2'), 'lane-foreign', host)
    await assert.rejects(laneHost('10.0.0.9', { connected: '10.0.0.2', announced: [] }), {
      code: 'lane-foreign', fault: 'peer', phase: 'opening a lane', data: { host: '10.0.0.9' },
    })
    assert.equal(await chosen('0.0.0.0', undefined), 'lane-foreign')
    assert.equal(await chosen('10.0.0.2', undefined), 'lane-foreign')
  })

  it('is one that the member announced as its own, unless that means this machine', async () => {
    assert.equal(await chosen('192.168.7.2', '10.0.0.2', ['192.168.7.2']), '192.168.7.2')
    const nearby = ['127.0.0.1', '127.8.8.8', '::1', '::', 'fe80::1', '169.254.169.254', '::ffff:127.0.0.1', '0.1.2.3']
    for (const host of nearby) {
      assert.equal(mayDial(host, ['10.0.0.2'], true), false, host)
    }
  })

  it('is any of this machine\'s own of a member that runs on this machine, and no other', async () => {
    for (const host of ['127.0.0.2', '::1', '::ffff:127.8.0.1']) assert.equal(await chosen(host, '127.0.0.1'), host)
    for (const host of ['10.0.0.9', '169.254.169.254', 'fe80::1']) {
      assert.equal(await chosen(host, '127.0.0.1', [host]), host === '10.0.0.9' ? host : 'lane-foreign', host)
      assert.equal(await chosen(host, '::1'), 'lane-foreign', host)
    }
  })

  it('is what a name means, looked up once', async () => {
    asked.length = 0
    assert.equal(await chosen('host-b', '10.0.0.2'), '10.0.0.2')
    assert.deepEqual(asked, ['host-b'])
    assert.equal(await chosen('10.0.0.2', 'host-b'), '10.0.0.2')
    assert.equal(await chosen('lanes-b', '10.0.0.2'), 'lane-foreign')
    assert.equal(await chosen('lanes-b', '10.0.0.2', ['lanes-b']), '192.168.7.2')
    assert.equal(await chosen('mixed', '10.0.0.2', ['mixed']), '10.0.0.2')
    assert.equal(await chosen('10.0.0.2', 'mixed'), '10.0.0.2', 'one of several')
    assert.equal(await laneHost('localhost', { connected: '127.0.0.1', announced: [] }), '127.0.0.1')
  })

  it('is an announced one among several', async () => {
    const announced = ['10.0.0.2', '192.168.7.2']
    assert.equal(await chosen('192.168.7.2', '10.0.0.2', announced), '192.168.7.2')
    assert.equal(await chosen('192.168.7.3', '10.0.0.2', announced), 'lane-foreign')
  })
})

describe('what peers announce of where they are', () => {
  it('is kept for each of them, the newest, with the lane\'s host and without what means any', () => {
    const hosts = new AnnouncedHosts()
    const announcement = { version: 1 as const, name: 'b', peerId: 'peerB' }
    hosts.note({ ...announcement, addresses: ['/ip4/10.0.0.2/tcp/1', '/dns4/host-b/tcp/1'], lane: '192.168.7.2:5' })
    assert.deepEqual(hosts.of('peerB'), ['10.0.0.2', 'host-b', '192.168.7.2'])
    assert.deepEqual(hosts.meshOf('peerB'), [{ host: '10.0.0.2', port: 1 }, { host: 'host-b', port: 1 }])
    assert.deepEqual(hosts.meshOf('peerC'), [])
    hosts.note({ ...announcement, addresses: ['/ip4/0.0.0.0/tcp/1', '/ip4/10.0.0.3/tcp/1'] })
    assert.deepEqual(hosts.of('peerB'), ['10.0.0.3'])
    assert.deepEqual(hosts.meshOf('peerB'), [{ host: '10.0.0.3', port: 1 }])
  })

  it('is kept for 1024 of them, without those who announced themselves longest ago', () => {
    const hosts = new AnnouncedHosts()
    const note = (peerId: string): void =>
      hosts.note({ version: 1, name: 'b', peerId, addresses: ['/ip4/10.0.0.2/tcp/1'] })
    note('peerB')
    for (let n = 1; n < 1024; n++) note(`p${n}`)
    assert.equal(hosts.of('peerB').length, 1)
    note('peerB')
    note('peerC')
    assert.deepEqual(['peerB', 'p1', 'p2', 'peerC'].map((peerId) => hosts.of(peerId).length), [1, 0, 1, 1])
  })
})
