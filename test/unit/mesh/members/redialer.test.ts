import assert from 'node:assert/strict'

import { backoffMs, Redialer } from '../../../../src/mesh/members/redialer.ts'
import { SelfDialedError } from '../../../../src/mesh/network.ts'
import { silentLog } from '../../../../src/runtime/log.ts'
import { VirtualClock } from '../../../support/time.ts'

/** A mesh as the redialer sees it: who answers at which address, and who is connected. */
class Peers {
  readonly clock = new VirtualClock()
  readonly redialer: Redialer
  /** Attempts, as `time address`. */
  readonly dials: string[] = []
  readonly connected = new Set<string>()
  /** What comes of an attempt: a peer's id, or an error; without an answer it lasts. */
  answer: (address: string) => string | Error | undefined = () => new Error('nobody there')
  /** What comes of an attempt without an answer when it is ended. */
  onAbort: (reason: Error) => Promise<string> = async (reason) => { throw reason }
  fraction = 0

  constructor(selfPeerId = 'm') {
    const random = { bytes: () => new Uint8Array(0), fraction: () => this.fraction }
    this.redialer = new Redialer({ clock: this.clock, random, log: silentLog }, {
      selfPeerId: () => selfPeerId,
      isConnected: (peerId) => this.connected.has(peerId),
      dial: (address, signal) => new Promise((resolve, reject) => {
        this.dials.push(`${this.clock.now()} ${address}`)
        signal.addEventListener('abort', () => {
          void this.onAbort(signal.reason as Error).then(resolve, reject)
        })
        const answer = this.answer(address)
        if (answer instanceof Error) reject(answer)
        else if (answer !== undefined) {
          this.connected.add(answer)
          resolve(answer)
        }
      }),
    })
  }

  leave(peerId: string): void {
    this.connected.delete(peerId)
    this.redialer.peerLeft(peerId)
  }
}

describe('the redialer', () => {
  it('dials a bootstrap peer until it answers, ever more rarely', async () => {
    const peers = new Peers()
    await peers.redialer.keepBootstrap('/one')
    await peers.clock.run(20_000)
    const times = peers.dials.map((dial) => Number(dial.split(' ')[0]))
    const waits = times.slice(1).map((time, index) => time - times[index]!)
    assert.deepEqual(waits.slice(0, 7), [125, 250, 500, 1000, 2000, 2000, 2000])
    assert.deepEqual(waits, waits.map((_, index) => backoffMs(index + 1, 0)))
    peers.fraction = 0.5
    await peers.clock.run(40_000)
    const [before, last] = peers.dials.slice(-2).map((dial) => Number(dial.split(' ')[0]))
    assert.equal(last! - before!, 3000, 'chance spreads the wait')
    await peers.redialer.stop()
  })

  it('leaves alone who is connected, and dials at once when they leave', async () => {
    const peers = new Peers()
    peers.answer = () => 'b'
    await peers.redialer.keepBootstrap('/one')
    await peers.clock.run(100_000)
    assert.deepEqual(peers.dials, ['0 /one'])
    peers.leave('other')
    await peers.clock.run(150_000)
    assert.equal(peers.dials.length, 1)
    peers.answer = () => new Error('down')
    peers.leave('b')
    await peers.clock.run(150_000)
    assert.deepEqual(peers.dials.slice(1), ['150000 /one'])
    await peers.clock.run(150_125)
    assert.equal(peers.dials.at(-1), '150125 /one', 'failures are counted anew')
    await peers.redialer.stop()
  })

  it('dials at once also who leaves as soon as it has come', async () => {
    const peers = new Peers()
    peers.answer = () => 'b'
    await peers.redialer.keepBootstrap('/one')
    await peers.clock.run(10)
    peers.leave('b')
    await peers.clock.run(10)
    assert.deepEqual(peers.dials, ['0 /one', '10 /one'])
    await peers.redialer.stop()
  })

  it('does not dial a peer that its address names and that came by itself', async () => {
    const peers = new Peers()
    peers.connected.add('b')
    await peers.redialer.keepBootstrap('/one/p2p/b')
    assert.deepEqual(peers.dials, [])
    peers.leave('b')
    await peers.clock.run(0)
    assert.deepEqual(peers.dials, ['0 /one/p2p/b'])
    await peers.redialer.stop()
  })

  it('never dials its own address again', async () => {
    const peers = new Peers()
    peers.answer = () => new SelfDialedError()
    await peers.redialer.keepBootstrap('/self')
    await peers.clock.run(600_000)
    assert.deepEqual(peers.dials, ['0 /self'])
    assert.equal(peers.clock.pendingCount, 0)
  })

  it('takes somebody that answered and did not stay for a failure', async () => {
    const peers = new Peers()
    peers.answer = () => {
      queueMicrotask(() => peers.connected.clear())
      return 'b'
    }
    await peers.redialer.keepBootstrap('/one')
    await peers.clock.run(130)
    assert.deepEqual(peers.dials, ['0 /one', '125 /one'])
    await peers.redialer.stop()
  })

  it('gives an attempt ten seconds', async () => {
    const peers = new Peers()
    peers.answer = () => undefined
    void peers.redialer.keepBootstrap('/slow')
    await peers.clock.run(10_124)
    assert.deepEqual(peers.dials, ['0 /slow'])
    await peers.clock.run(10_125)
    assert.deepEqual(peers.dials, ['0 /slow', '10125 /slow'])
    await peers.redialer.stop()
  })

  it('makes four attempts at a time, and the next as soon as one ends', async () => {
    const peers = new Peers()
    peers.answer = () => undefined
    for (let n = 0; n < 6; n++) void peers.redialer.keepBootstrap(`/${n}`)
    await peers.clock.run(9_999)
    assert.deepEqual(peers.dials, ['0 /0', '0 /1', '0 /2', '0 /3'])
    await peers.clock.run(10_000)
    assert.deepEqual(peers.dials.slice(4), ['10000 /4', '10000 /5'])
    await peers.redialer.stop()
  })

  it('dials whom it learnt of at one address after the other, as it was last told', async () => {
    const peers = new Peers('a')
    peers.redialer.keepLearnt('b', ['/one', '/two'], 'b')
    await peers.clock.run(375)
    assert.deepEqual(peers.dials, ['0 /one/p2p/b', '125 /two/p2p/b', '375 /one/p2p/b'])
    peers.redialer.keepLearnt('b', ['/three'], 'b')
    await peers.clock.run(875)
    assert.deepEqual(peers.dials.slice(3), ['875 /three/p2p/b'])
    peers.redialer.keepLearnt('b', [], 'b')
    await peers.clock.run(1_875)
    assert.deepEqual(peers.dials.slice(4), ['1875 /three/p2p/b'], 'who tells of none has the last ones')
    peers.redialer.keepLearnt('c', [], 'c')
    await peers.clock.run(2_000)
    assert.ok(peers.dials.every((dial) => dial.endsWith('/p2p/b')))
    await peers.redialer.stop()
  })

  it('lets the other one of two begin, which of them is the same for both', async () => {
    for (const [fraction, waitMs] of [[0, 5_000], [0.5, 7_500]] as const) {
      const peers = new Peers('m')
      peers.fraction = fraction
      peers.answer = (address) => address.split('/').at(-1)!
      peers.redialer.keepLearnt('z', ['/z'], 'z')
      peers.redialer.keepLearnt('a', ['/a'], 'a')
      await peers.clock.run(60_000)
      assert.deepEqual(peers.dials, ['0 /z/p2p/z', `${waitMs} /a/p2p/a`])
      await peers.redialer.stop()
    }
  })

  it('forgets whom it learnt of after ten minutes in vain, and takes them up when told again', async () => {
    const peers = new Peers('a')
    peers.redialer.keepLearnt('b', ['/one'], 'b')
    await peers.clock.run(599_999)
    const before = peers.dials.length
    await peers.clock.run(602_500)
    assert.ok(peers.dials.length > before)
    const all = peers.dials.length
    await peers.clock.run(900_000)
    assert.equal(peers.dials.length, all)
    assert.equal(peers.clock.pendingCount, 0)
    peers.redialer.keepLearnt('b', ['/one'], 'b')
    await peers.clock.run(900_000)
    assert.equal(peers.dials.length, all + 1)
    await peers.redialer.stop()
  })

  it('never forgets a bootstrap peer', async () => {
    const peers = new Peers()
    await peers.redialer.keepBootstrap('/one')
    await peers.clock.run(1_000_000)
    const before = peers.dials.length
    await peers.clock.run(1_010_000)
    assert.ok(peers.dials.length > before)
    await peers.redialer.stop()
  })

  it('learns of 1024 peers and no more', async () => {
    const peers = new Peers('a')
    peers.answer = (address) => address.split('/').at(-1)!
    for (let n = 0; n < 1030; n++) peers.redialer.keepLearnt(`p${n}`, ['/x'], `p${n}`)
    await peers.clock.run(1)
    assert.equal(peers.connected.size, 1024)
    await peers.redialer.stop()
  })

  it('tries 64 at a time of those that one member told of and that may not be there', async () => {
    const peers = new Peers('a')
    for (let n = 0; n < 1030; n++) peers.redialer.keepLearnt(`liar${n}`, ['/nowhere'], 'liar')
    peers.redialer.keepLearnt('b', ['/there'], 'honest')
    peers.answer = (address) => (address.startsWith('/nowhere') ? new Error('refused') : address.split('/').at(-1))
    await peers.clock.run(15_000)
    assert.ok(peers.connected.has('b'))
    const tried = new Set(peers.dials.map((dial) => dial.split('/').at(-1)).filter((id) => id !== 'b'))
    assert.equal(tried.size, 64)
    await peers.clock.run(120_000)
    const before = peers.dials.length
    await peers.clock.run(200_000)
    assert.equal(peers.dials.length, before, 'who was never there is forgotten after a minute')
    peers.redialer.keepLearnt('c', ['/there'], 'liar')
    await peers.clock.run(220_000)
    assert.ok(peers.connected.has('c'))
    await peers.redialer.stop()
  })

  it('counts none that is there by now', async () => {
    const peers = new Peers('a')
    peers.answer = (address) => address.split('/').at(-1)!
    for (let n = 0; n < 64; n++) peers.redialer.keepLearnt(`p${n}`, ['/x'], 'm')
    await peers.clock.run(1)
    for (let n = 64; n < 128; n++) peers.redialer.keepLearnt(`p${n}`, ['/x'], 'm')
    await peers.clock.run(2)
    assert.equal(peers.connected.size, 128)
    await peers.redialer.stop()
  })

  it('keeps whom it reached for ten minutes after they left, whoever told of them', async () => {
    const peers = new Peers('a')
    peers.redialer.keepLearnt('b', ['/one'], 'honest')
    peers.answer = () => 'b'
    await peers.clock.run(1_000_000)
    peers.answer = () => new Error('down')
    peers.leave('b')
    await peers.clock.run(1_590_000)
    const before = peers.dials.length
    await peers.clock.run(1_599_000)
    assert.ok(peers.dials.length > before)
    await peers.clock.run(1_605_000)
    const all = peers.dials.length
    await peers.clock.run(2_000_000)
    assert.equal(peers.dials.length, all)
    await peers.redialer.stop()
  })

  it('does not dial who came by itself while others were dialed', async () => {
    const peers = new Peers()
    peers.answer = () => undefined
    for (let n = 0; n < 4; n++) void peers.redialer.keepBootstrap(`/${n}`)
    void peers.redialer.keepBootstrap('/five/p2p/b')
    await peers.clock.run(1_000)
    peers.connected.add('b')
    await peers.clock.run(30_000)
    assert.ok(peers.dials.length >= 4 && peers.dials.every((dial) => !dial.endsWith('/b')))
    await peers.redialer.stop()
  })

  it('has stopped once every attempt is over, also one that takes its time', async () => {
    const peers = new Peers()
    const ended = Promise.withResolvers<string>()
    peers.answer = () => undefined
    peers.onAbort = () => ended.promise
    const first = peers.redialer.keepBootstrap('/slow')
    await peers.clock.run(1)
    let isStopped = false
    const stopping = peers.redialer.stop().then(() => { isStopped = true })
    await peers.clock.run(2)
    assert.equal(isStopped, false)
    ended.resolve('b')
    await Promise.all([stopping, first])
  })

  it('ends every attempt and every wait when it stops, and begins none after', async () => {
    const peers = new Peers()
    peers.answer = (address) => (address === '/there' ? 'b' : undefined)
    for (const address of ['/there', '/1', '/2', '/3', '/4', '/5']) void peers.redialer.keepBootstrap(address)
    await peers.clock.run(10)
    const dials = peers.dials.length
    await peers.redialer.stop()
    assert.equal(peers.clock.pendingCount, 0)
    await peers.redialer.keepBootstrap('/late')
    peers.redialer.keepLearnt('z', ['/late'], 'z')
    await peers.clock.run(60_000)
    assert.equal(peers.dials.length, dials)
  })
})
