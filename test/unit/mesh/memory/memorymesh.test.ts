import assert from 'node:assert/strict'

import { GOSSIP_BYTES_MAX, MemoryNetwork, MESSAGE_BYTES_MAX, type Mesh } from '../../../../src/mesh/index.ts'
import { PagemeshError } from '../../../../src/runtime/errors.ts'
import { VirtualClock } from '../../../support/time.ts'

const { signal } = new AbortController()
const aborted = AbortSignal.abort(new Error('enough'))
const names = (mesh: Mesh): string[] => mesh.members().map(({ name }) => name)

/** Everything that waits in this thread has had its turn: in memory nothing takes longer. */
const settled = (): Promise<void> => new Promise((resolve) => { setImmediate(resolve) })

async function startedPair(): Promise<{ network: MemoryNetwork; a: Mesh; b: Mesh }> {
  const network = new MemoryNetwork({ clock: new VirtualClock() })
  const [a, b] = [network.createMesh('a'), network.createMesh('b')]
  await a.start()
  await b.start()
  return { network, a, b }
}

describe('a mesh in one process', () => {
  it('is joined by those of one key; others are strangers, counted on both sides', async () => {
    const { network, a } = await startedPair()
    const other = network.createMesh('c', { key: 'another' })
    await other.start()
    assert.deepEqual([names(a), names(other)], [['b'], []])
    assert.deepEqual([a.strangerCount, other.strangerCount], [1, 2])
    await other.stop()
    assert.deepEqual(names(a), ['b'])
  })

  it('starts and stops as often as it is told to, and again', async () => {
    const { a, b } = await startedPair()
    const changes: string[] = []
    b.onMember((change, { name }) => changes.push(`${change} ${name}`))
    await a.start()
    await a.stop()
    await a.stop()
    assert.deepEqual(names(a), [])
    assert.throws(() => a.offerLane(signal), { code: 'mesh-stopped' })
    await assert.rejects(a.publish('/t/1', new Uint8Array(1)), { code: 'mesh-stopped' })
    await a.start()
    assert.deepEqual([changes, names(a)], [['left a', 'joined a'], ['b']])
    const { ticket, lane } = a.offerLane(signal)
    const near = await b.dialLane(b.member('a')!, ticket, signal)
    assert.equal(near.write(Buffer.from('x')), true)
    await a.stop()
    await Promise.all([near.closed, (await lane).closed])
  })

  it('takes a name once, and gives it to the next when its holder has stopped', async () => {
    const { network, a, b } = await startedPair()
    const second = network.createMesh('a')
    await assert.rejects(second.start(), { code: 'name-taken' })
    await second.stop()
    assert.deepEqual(names(b), ['a'], 'who never started takes nobody along')
    assert.equal(network.createMesh('x').members().length, 0)
    await a.stop()
    await second.start()
    assert.deepEqual(names(second), ['b'])
    assert.throws(() => network.createMesh('a b'), { code: 'host-name-invalid' })
  })

  it('gossips to all who listen to the topic, and counts the bytes of those', async () => {
    const { network, a, b } = await startedPair()
    const c = network.createMesh('c')
    await c.start()
    const heard: string[] = []
    const stops = [1, 2].map((n) => b.subscribe('/t/1', (message, from) => heard.push(`${n} ${message[0]} ${from}`)))
    const message = Uint8Array.of(7, 7)
    const publishing = a.publish('/t/1', message)
    message.fill(0)
    assert.deepEqual(heard, [], 'not at once')
    await publishing
    await settled()
    assert.deepEqual(heard, [`1 7 ${a.self.peerId}`, `2 7 ${a.self.peerId}`])
    assert.deepEqual([a.traffic.gossip, b.traffic.gossip, c.traffic.gossip].map((gossip) => ({ ...gossip })), [
      { sentBytes: 2, receivedBytes: 0 }, { sentBytes: 0, receivedBytes: 2 }, { sentBytes: 0, receivedBytes: 0 },
    ])
    stops[0]!()
    await a.publish('/t/1', Uint8Array.of(8))
    await settled()
    stops[1]!()
    await a.publish('/t/1', Uint8Array.of(9))
    await settled()
    assert.deepEqual(heard.slice(2), [`2 8 ${a.self.peerId}`])
    assert.equal(a.traffic.gossip.sentBytes, 3)
    await a.publish('/t/1', new Uint8Array(GOSSIP_BYTES_MAX))
    await assert.rejects(a.publish('/t/1', new Uint8Array(GOSSIP_BYTES_MAX + 1)), { code: 'message-too-long' })
  })

  it('takes nobody else along when somebody leaves twice', async () => {
    const { a, b } = await startedPair()
    const heard: number[] = []
    const [first, second] = [b.subscribe('/t/1', () => {}), b.handle('/p/1', async () => {})]
    first()
    second()
    b.subscribe('/t/1', (message) => heard.push(message[0]!))
    b.handle('/p/1', async () => {})
    first()
    second()
    await a.publish('/t/1', Uint8Array.of(7))
    await settled()
    assert.deepEqual(heard, [7])
    await (await a.open('b', '/p/1', signal)).close()
  })

  it('opens nothing for who has given up, and serves a protocol until it is withdrawn', async () => {
    const { a, b } = await startedPair()
    const stop = b.handle('/p/1', async () => {})
    assert.throws(() => b.handle('/p/1', async () => {}), /one handler/)
    await assert.rejects(a.open('b', '/p/1', aborted), /enough/)
    const { ticket } = b.offerLane(signal)
    await assert.rejects(a.dialLane(a.member('b')!, ticket, aborted), /enough/)
    await (await a.open('b', '/p/1', signal)).close()
    stop()
    await assert.rejects(a.open('b', '/p/1', signal), { code: 'host-unreachable' })
  })

  it('breaks a stream whose handler fails, with whatever, and closes one whose handler saw the end', async () => {
    const { a, b } = await startedPair()
    for (const thrown of [new Error('no'), 'no', new PagemeshError('not-accepted', 'Ours.', { fault: 'host' })]) {
      const stop = b.handle('/fail/1', async () => { throw thrown })
      await assert.rejects((await a.open('b', '/fail/1', signal)).receive(), { code: 'stream-broken' })
      stop()
    }
    b.handle('/over/1', async () => { throw new PagemeshError('stream-ended', 'Over.', { fault: 'peer' }) })
    await assert.rejects((await a.open('b', '/over/1', signal)).receive(), { code: 'stream-ended' })
    const ended = Promise.withResolvers<unknown>()
    b.handle('/end/1', async (stream) => {
      await stream.receive().catch((error: unknown) => {
        ended.resolve(error)
        throw error
      })
    })
    const stream = await a.open('b', '/end/1', signal)
    await stream.close()
    assert.equal((await ended.promise as PagemeshError).code, 'stream-ended')
  })

  it('opens a lane once for its ticket, and only for its key, and says what to do otherwise', async () => {
    const { a, b } = await startedPair()
    const { ticket } = a.offerLane(signal)
    const member = b.member('a')!
    const refused = { code: 'lane-unreachable', fault: 'network', phase: 'opening a lane', advice: /^Ask for another/ }
    await assert.rejects(b.dialLane(member, { ...ticket, key: '00' }, signal), refused)
    await assert.rejects(b.dialLane(member, ticket, signal), refused, 'it is used up')
    await assert.rejects(b.dialLane({ ...member, name: 'x' }, a.offerLane(signal).ticket, signal), refused)
  })

  it('counts the bytes of a lane that were received, at either end', async () => {
    const { a, b } = await startedPair()
    const { ticket, lane } = a.offerLane(signal)
    const near = await b.dialLane(b.member('a')!, ticket, signal)
    const far = await lane
    const counts = (): number[] => [near.sentBytes, far.receivedBytes, far.sentBytes, near.receivedBytes]
    assert.deepEqual(counts(), [0, 0, 0, 0])
    let receivedBytes = 0
    near.receive((bytes) => { receivedBytes += bytes.length })
    far.receive((bytes) => { receivedBytes += bytes.length })
    near.write(Buffer.alloc(1_000))
    far.write(Buffer.alloc(20_000))
    await Promise.all([near.end(), far.end()])
    assert.deepEqual([counts(), receivedBytes], [[1_000, 1_000, 20_000, 20_000], 21_000])
  })

  it('is cut and joined again: streams break, lanes stay until they are cut as well', async () => {
    const { network, a, b } = await startedPair()
    b.handle('/p/1', async (stream) => { await stream.receive() })
    const stream = await a.open('b', '/p/1', signal)
    const { ticket, lane } = a.offerLane(signal)
    const near = await b.dialLane(b.member('a')!, ticket, signal)
    network.disconnect('a')
    await assert.rejects(stream.receive(), { code: 'stream-broken' })
    assert.deepEqual([names(a), names(b)], [[], []])
    await assert.rejects(a.open('b', '/p/1', signal), { code: 'host-unknown' })
    assert.equal(near.write(Buffer.from('x')), true)
    network.cutLanes()
    await Promise.all([near.closed, (await lane).closed])
    network.reconnect('a')
    assert.deepEqual([names(a), names(b)], [['b'], ['a']])
    network.disconnect('a', 'b')
    assert.deepEqual(names(a), [])
  })

  it('is cut between two of three: the third goes on with either', async () => {
    const { network, a, b } = await startedPair()
    const c = network.createMesh('c')
    await c.start()
    const ends: string[] = []
    for (const mesh of [b, c]) {
      mesh.handle('/p/1', async (stream) => {
        await stream.receive().catch((error: PagemeshError) => ends.push(`${mesh.self.name} ${error.code}`))
      })
    }
    const [toB, toC] = [await a.open('b', '/p/1', signal), await a.open('c', '/p/1', signal)]
    const [member, { ticket }] = [a.member('b')!, b.offerLane(signal)]
    network.disconnect('a', 'b')
    await assert.rejects(toB.receive(), { code: 'stream-broken' })
    await settled()
    assert.deepEqual(ends, ['b stream-broken'])
    assert.deepEqual([a, b, c].map(names), [['c'], ['c'], ['a', 'b']])
    await toC.send(Uint8Array.of(1))
    await assert.rejects(a.dialLane(member, ticket, signal), { code: 'lane-unreachable' })
    await a.stop()
    await a.start()
    assert.deepEqual(names(a), ['c'], 'a start joins nothing that is cut')
    network.reconnect('nobody')
    network.reconnect('b')
    assert.deepEqual([a, b, c].map((mesh) => names(mesh).sort()), [['b', 'c'], ['a', 'c'], ['a', 'b']])
  })
})

describe('limits that hosts agree on', () => {
  it('are those of every version so far', () => {
    assert.deepEqual([MESSAGE_BYTES_MAX, GOSSIP_BYTES_MAX], [65_536, 32_768])
  })
})
