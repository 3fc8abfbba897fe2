import assert from 'node:assert/strict'

import type { Verdict } from '../../../../src/mesh/admission/proofcodec.ts'
import { PeerConnections } from '../../../../src/mesh/libp2p/peerconnections.ts'

const ACCEPTED: Verdict = { code: 'accepted' }
const TAKEN: Verdict = { code: 'name-taken', holderName: 'b', holderPeerId: 'peerX' }

/** A connection to a peer, which tells how it was aborted. */
class FakeConnection {
  readonly status = 'open'
  readonly remotePeer: string
  readonly remoteAddr: string
  abortedWith: string | undefined

  constructor(remotePeer: string, remoteAddr = '/ip4/10.0.0.2/tcp/5') {
    this.remotePeer = remotePeer
    this.remoteAddr = remoteAddr
  }

  abort(error: Error): void {
    this.abortedWith = error.message
  }
}

function made(namesMax = 100) {
  const events: string[] = []
  const verdicts = { next: ACCEPTED }
  const peers = new PeerConnections<FakeConnection>({
    admit: (name, peerId) => {
      events.push(`admit ${name} ${peerId}`)
      return verdicts.next
    },
    connected: ({ peerId, name, address }) => events.push(`connected ${name} ${peerId} ${address}`),
    disconnected: (peerId) => events.push(`disconnected ${peerId}`),
  }, { namesMax })
  /** A peer proves its name and is connected; whether that stayed. */
  const join = (peerId: string): boolean => {
    const connection = new FakeConnection(peerId)
    peers.opened(connection)
    return connection.abortedWith === undefined
  }
  return { peers, events, verdicts, join }
}

describe('the connections of peers', () => {
  it('are told of under the name that the peer proved, and their end once', () => {
    const { peers, events } = made()
    const connection = new FakeConnection('peerB')
    peers.proved('peerB', 'b')
    peers.opened(connection)
    assert.deepEqual(events, ['admit b peerB', 'connected b peerB /ip4/10.0.0.2/tcp/5'])
    assert.deepEqual([peers.peers(), peers.all(), peers.of('peerB'), peers.of('peerC')],
      [['peerB'], [connection], [connection], []])
    peers.closed(connection)
    peers.closed(connection)
    assert.deepEqual(events.slice(2), ['disconnected peerB'])
    assert.deepEqual([peers.peers(), peers.all(), peers.of('peerB')], [[], [], []])
  })

  it('are several where two dialed each other at once: the peer is gone with the last of them', () => {
    const { peers, events } = made()
    const [one, two] = [new FakeConnection('peerB'), new FakeConnection('peerB', '/ip4/10.0.0.3/tcp/5')]
    peers.proved('peerB', 'b')
    peers.opened(one)
    peers.opened(two)
    assert.deepEqual(events.filter((event) => event.startsWith('connected')),
      ['connected b peerB /ip4/10.0.0.2/tcp/5', 'connected b peerB /ip4/10.0.0.3/tcp/5'])
    assert.deepEqual([peers.of('peerB'), peers.all()], [[one, two], [one, two]])
    events.length = 0
    peers.closed(one)
    assert.deepEqual([events, peers.of('peerB')], [[], [two]])
    peers.closed(two)
    assert.deepEqual(events, ['disconnected peerB'])
  })

  it('are cut where the name is another\'s by now, or was never proved, and nobody hears of their end', () => {
    const { peers, events, verdicts } = made()
    const [late, unknown] = [new FakeConnection('peerB'), new FakeConnection('peerC')]
    verdicts.next = TAKEN
    peers.proved('peerB', 'b')
    for (const connection of [late, unknown]) {
      peers.opened(connection)
      assert.equal(connection.abortedWith, 'the name was taken meanwhile')
      peers.closed(connection)
    }
    assert.deepEqual([events, peers.peers()], [['admit b peerB'], []])
  })

  it('need a proof each time, and the latest name counts', () => {
    const { peers, events, join } = made()
    peers.proved('peerB', 'old')
    peers.proved('peerB', 'b')
    assert.equal(join('peerB'), true)
    assert.equal(events[0], 'admit b peerB')
    peers.closed(peers.of('peerB')[0]!)
    assert.equal(join('peerB'), false)
  })

  it('forget the names of those who never came when there are too many, and keep those of who is here', () => {
    const { peers, join } = made(3)
    for (const peerId of ['peerA', 'peerB', 'peerC']) peers.proved(peerId, peerId.toLowerCase())
    assert.ok(join('peerA') && join('peerB'), 'as many as there may be')
    peers.proved('peerD', 'd')
    assert.deepEqual(['peerA', 'peerB', 'peerC', 'peerD'].map(join), [true, true, false, false])
  })
})
