import assert from 'node:assert/strict'

import { Pinger } from '../../../../src/mesh/libp2p/pinger.ts'
import { VirtualClock } from '../../../support/time.ts'

interface Started {
  clock: VirtualClock
  pinger: Pinger
  peers: string[]
  /** Pings, as `time peer`. */
  pings: string[]
  /** Peers that were given up, as `time peer`. */
  dropped: string[]
}

/** A pinger of these peers, of which those in `silent` never answer and those in `broken` cannot be asked. */
function started(peers: string[], silent: readonly string[] = [], broken: readonly string[] = []): Started {
  const clock = new VirtualClock()
  const pings: string[] = []
  const dropped: string[] = []
  const pinger = new Pinger({ clock }, {
    peers: () => peers,
    ping: async (peerId, signal) => {
      pings.push(`${clock.now()} ${peerId}`)
      if (broken.includes(peerId)) throw new Error('no stream')
      if (silent.includes(peerId)) {
        await new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error)))
      }
    },
    drop: (peerId) => dropped.push(`${clock.now()} ${peerId}`),
  })
  return { clock, pinger, peers, pings, dropped }
}

describe('pings', () => {
  it('ask every peer of a small mesh each four seconds', async () => {
    const { clock, pings, dropped } = started(['a', 'b'])
    await clock.run(9_000)
    assert.deepEqual(pings, ['1000 a', '1000 b', '5000 a', '5000 b', '9000 a', '9000 b'])
    assert.deepEqual(dropped, [])
  })

  it('give up on who does not answer for eight seconds, within twelve of the last word', async () => {
    const { clock, dropped } = started(['a', 'b', 'c'], ['b'])
    await clock.run(8_999)
    assert.deepEqual(dropped, [])
    await clock.run(9_000)
    assert.deepEqual(dropped, ['9000 b'])
  })

  it('give up at once on who cannot be asked', async () => {
    const { clock, dropped } = started(['a'], [], ['a'])
    await clock.run(1_000)
    assert.deepEqual(dropped, ['1000 a'])
  })

  it('ask five peers a second in a large mesh, those that waited longest first, and wait longer', async () => {
    const peers = Array.from({ length: 30 }, (_, n) => `p${n}`)
    const { clock, pings, dropped } = started(peers, ['p0'])
    await clock.run(12_000)
    const inSecond = (second: number): string[] =>
      pings.filter((ping) => ping.startsWith(`${second * 1000} `)).map((ping) => ping.split(' ')[1]!)
    for (let second = 1; second <= 12; second++) {
      const first = ((second - 1) % 6) * 5
      assert.deepEqual(inSecond(second), peers.slice(first, first + 5), `second ${second}`)
    }
    assert.deepEqual(dropped, [])
    await clock.run(13_000)
    assert.deepEqual(dropped, ['13000 p0'], '400 ms for each of 30 peers')
  })

  it('ask anew whoever left and came back', async () => {
    const { clock, peers, pings } = started(['a'])
    await clock.run(1_000)
    peers.length = 0
    await clock.run(2_000)
    peers.push('a')
    await clock.run(3_000)
    assert.deepEqual(pings, ['1000 a', '3000 a'])
  })

  it('end when they are stopped, and nobody is given up for it', async () => {
    const { clock, pinger, pings, dropped } = started(['a'], ['a'])
    await clock.run(1_000)
    pinger.stop()
    await clock.run(60_000)
    assert.deepEqual([pings, dropped, clock.pendingCount], [['1000 a'], [], 0])
  })
})
