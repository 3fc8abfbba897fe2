import assert from 'node:assert/strict'

import { UNPROVEN_BYTES_MAX } from '../../../../src/mesh/admission/arrivals.ts'
import { Gate, type RawConnection } from '../../../../src/mesh/admission/gate.ts'
import { SelfDialedError } from '../../../../src/mesh/network.ts'
import { VirtualClock } from '../../../support/time.ts'

/** A raw connection of libp2p, whose other end does as the test says. */
class FakeConnection implements RawConnection {
  status = 'open'
  readonly remoteAddr: string
  /** What the side behind the gate was handed, in bytes. */
  readonly received: number[] = []
  abortedWith: Error | undefined
  readonly #closeListeners: (() => void)[] = []

  constructor(remoteAddr = '/ip4/10.0.0.1/tcp/5') {
    this.remoteAddr = remoteAddr
  }

  onData(bytes: { byteLength: number }): void {
    this.received.push(bytes.byteLength)
  }

  addEventListener(type: 'close', listener: () => void): void {
    if (type === 'close') this.#closeListeners.push(listener)
  }

  abort(error: Error): void {
    this.abortedWith = error
    this.hangsUp()
  }

  says(byteCount: number): void {
    this.onData({ byteLength: byteCount })
  }

  hangsUp(): void {
    this.status = 'closed'
    for (const listener of this.#closeListeners) listener()
  }
}

function opened() {
  const clock = new VirtualClock()
  const strangers: string[] = []
  const known = new Set<string>()
  const gate = new Gate({ clock }, {
    isKnown: (host) => known.has(host),
    stranger: (host, reason) => strangers.push(`${clock.now()} ${host}: ${reason}`),
  })
  /** Upgrades in progress: how each is to end. */
  const upgrades: { connection: RawConnection; options: unknown; end: PromiseWithResolvers<void> }[] = []
  const upgrader = gate.before({
    upgradeInbound: async (connection: RawConnection, options: unknown) => {
      const end = Promise.withResolvers<void>()
      upgrades.push({ connection, options, end })
      await end.promise
    },
    components: 'as they are',
  })
  const arrive = (connection: RawConnection, options?: unknown): Promise<string> =>
    upgrader.upgradeInbound(connection, options).then(() => 'upgraded', (error: Error) => error.message)
  return { clock, gate, strangers, known, upgrades, upgrader, arrive }
}

const LATE = 'it did not prove the cluster key in time'
const FULL = 'there was no room for it'

describe('the gate before libp2p', () => {
  it('upgrades a connection once it has said something, which is not lost', async () => {
    const { clock, strangers, upgrades, upgrader, arrive } = opened()
    const connection = new FakeConnection()
    const arrived = arrive(connection, 'options')
    await clock.run(1)
    assert.equal(upgrades.length, 0)
    connection.says(10)
    connection.says(20)
    await clock.run(2)
    assert.deepEqual(upgrades.map((upgrade) => [upgrade.connection, upgrade.options]), [[connection, 'options']])
    assert.deepEqual(connection.received, [10, 20])
    upgrades[0]!.end.resolve()
    assert.equal(await arrived, 'upgraded')
    await clock.run(60_000)
    connection.says(UNPROVEN_BYTES_MAX)
    assert.deepEqual([connection.abortedWith, strangers], [undefined, []])
    assert.equal(upgrader.components, 'as they are')
  })

  it('waits for the end of the upgrade, which is no stranger\'s for ten seconds', async () => {
    const { clock, strangers, arrive } = opened()
    const connection = new FakeConnection()
    let isOver = false
    void arrive(connection).then(() => { isOver = true })
    connection.says(1)
    await clock.run(9_999)
    assert.deepEqual([isOver, connection.abortedWith], [false, undefined])
    await clock.run(10_000)
    assert.equal(connection.abortedWith?.message, LATE)
    assert.deepEqual(strangers, [`10000 10.0.0.1: ${LATE}`])
  })

  it('upgrades at once what it cannot listen to', async () => {
    const { clock, upgrades, arrive } = opened()
    const { status, remoteAddr } = new FakeConnection()
    void arrive({ status, remoteAddr, abort: () => {}, addEventListener: () => {} })
    await clock.run(1)
    assert.equal(upgrades.length, 1)
  })

  it('drops a peer that says nothing for ten seconds, and counts it by its address, of any form', async () => {
    const { clock, strangers, upgrades, arrive } = opened()
    const connections = ['/ip4/10.0.0.2/tcp/5', '/ip6/fd00::2/tcp/5', '/unix/x'].map((at) => new FakeConnection(at))
    const arrived = connections.map((connection) => arrive(connection))
    await clock.run(10_000)
    assert.deepEqual(await Promise.all(arrived), Array(3).fill('the connection was closed'))
    assert.deepEqual(strangers, ['10.0.0.2', 'fd00::2', '/unix/x'].map((host) => `10000 ${host}: ${LATE}`))
    assert.deepEqual(upgrades, [])
  })

  it('drops a peer that says too much before it has proved itself, and hands none of that on', async () => {
    const { strangers, arrive } = opened()
    const connection = new FakeConnection()
    void arrive(connection)
    connection.says(UNPROVEN_BYTES_MAX)
    connection.says(1)
    assert.deepEqual(connection.received, [UNPROVEN_BYTES_MAX])
    assert.deepEqual(strangers, ['0 10.0.0.1: it sent too much before it proved the cluster key'])
    assert.notEqual(connection.abortedWith, undefined)
  })

  it('takes a peer that hangs up for no stranger, whether it has spoken or not', async () => {
    const { clock, strangers, upgrades, arrive } = opened()
    const [silent, spoken] = [new FakeConnection(), new FakeConnection()]
    const arrived = [arrive(silent), arrive(spoken)]
    spoken.says(1)
    await clock.run(1)
    silent.hangsUp()
    spoken.hangsUp()
    upgrades[0]!.end.reject(new Error('cut short'))
    assert.deepEqual(await Promise.all(arrived), ['the connection was closed', 'cut short'])
    await clock.run(60_000)
    assert.deepEqual(strangers, [])
  })

  it('takes a peer that fails the upgrade for a stranger, unless it is this host itself', async () => {
    const { clock, strangers, upgrades, arrive } = opened()
    const [failing, own] = [new FakeConnection(), new FakeConnection()]
    const arrived = [failing, own].map((connection) => arrive(connection))
    failing.says(1)
    own.says(1)
    await clock.run(1)
    upgrades[0]!.end.reject(new Error('no noise'))
    upgrades[1]!.end.reject(new Error(`wrapped: ${new SelfDialedError().message}`))
    assert.deepEqual(await Promise.all(arrived), ['no noise', 'wrapped: this host dialed itself'])
    assert.deepEqual(strangers, ['1 10.0.0.1: Error: no noise'])
    assert.equal(failing.abortedWith?.message, 'Error: no noise')
    assert.equal(own.abortedWith, undefined)
  })

  it('has room for 1280 connections of an address and 2048 in all, and as much again for those it knows', () => {
    const { strangers, known, arrive } = opened()
    const arriveFrom = (host: string, count: number): FakeConnection[] => Array.from({ length: count }, () => {
      const connection = new FakeConnection(`/ip4/${host}/tcp/5`)
      void arrive(connection)
      return connection
    })
    const [first, ...others] = arriveFrom('10.0.0.1', 1_280)
    assert.deepEqual(strangers, [])
    arriveFrom('10.0.0.1', 1)
    assert.deepEqual([first!.status, others[0]!.status], ['closed', 'open'])
    arriveFrom('10.0.0.2', 2_048 - 1_280)
    assert.equal(strangers.length, 1)
    arriveFrom('10.0.0.3', 1)
    assert.deepEqual(strangers, [`0 10.0.0.1: ${FULL}`, `0 10.0.0.1: ${FULL}`])
    known.add('10.0.0.4')
    arriveFrom('10.0.0.4', 1_280)
    assert.equal(strangers.length, 2)
  })

  it('lets a peer that has spoken outlive the silent ones of its address', async () => {
    const { clock, arrive } = opened()
    const connections = Array.from({ length: 1_281 }, () => new FakeConnection())
    for (const connection of connections.slice(0, 1_280)) void arrive(connection)
    connections[0]!.says(1)
    await clock.run(1)
    void arrive(connections[1_280]!)
    assert.deepEqual(connections.slice(0, 3).map(({ status }) => status), ['open', 'closed', 'open'])
  })

  it('knows of a connection that came in how to speak of it, and nothing of others', async () => {
    const { gate, strangers, arrive } = opened()
    const connection = new FakeConnection()
    assert.equal(gate.unprovenOf(connection), undefined)
    void arrive(connection)
    gate.unprovenOf(connection)!.fail('no key')
    assert.deepEqual(strangers, ['0 10.0.0.1: no key'])
    assert.equal(gate.unprovenOf(new FakeConnection()), undefined)
  })

  it('watches nobody any more once it is stopped', async () => {
    const { clock, gate, arrive } = opened()
    void arrive(new FakeConnection())
    gate.stop()
    assert.equal(clock.pendingCount, 0)
  })
})
