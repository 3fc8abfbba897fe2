import assert from 'node:assert/strict'

import { encodeChallenge, NONCE_BYTES, POSSESSION_PROTOCOL } from '../../../src/possession/proof.ts'
import { MadePages, range } from '../../support/madeswap.ts'
import { INTERVAL_MS, PossessionScene } from './made.ts'

const PAGES = new MadePages(300)
const ALL = range(200)

describe('a page may leave', () => {
  let scene: PossessionScene

  beforeEach(() => { scene = new PossessionScene(PAGES) })
  afterEach(async () => { await scene.end() })

  it('when another host proves that it holds it, and not when the host is only said to', async () => {
    const holder = await scene.add('holder', { holds: () => true, named: () => ['witness'] })
    await scene.add('witness', { holds: (number) => number % 2 === 0 })
    await scene.add('asker')
    assert.deepEqual(await scene.confirmed(holder, ALL, 'asker'), ALL.filter((number) => number % 2 === 0))
    assert.deepEqual(holder.possession.counts, { proven: 100, missing: 100, wrong: 0 })
    assert.equal(holder.standing.isTrusted('memory-witness'), true, 'guests change and leave')
  })

  it('when as many hosts prove it as the operator wants, this one among them if a guest of its holds it', async () => {
    const named = (): string[] => ['b', 'c', 'd']
    const holder = await scene.add('holder', { named, minHosts: 3 })
    await scene.add('b', { holds: () => true })
    await scene.add('c', { holds: (number) => number < 150 })
    await scene.add('d', { holds: (number) => number < 100 })
    assert.deepEqual(await scene.confirmed(holder, ALL, 'asker'), range(150))
    assert.deepEqual(await scene.confirmed(holder, ALL, 'asker', { resident: 0 }), range(100))
  })

  it('when more hosts than a view names prove it, if that many are wanted', async () => {
    const names = ['b', 'c', 'd', 'e', 'f']
    const holder = await scene.add('holder', { named: () => names.slice(0, 3), minHosts: 6 })
    for (const name of names) await scene.add(name, { holds: (number) => name !== 'f' || number < 20 })
    assert.deepEqual(await scene.confirmed(holder, ALL, 'asker'), range(20))
  })

  it('without any proof where the operator lets one host be enough', async () => {
    const holder = await scene.add('holder', { minHosts: 1 })
    assert.deepEqual(await scene.confirmed(holder, ALL, 'asker'), ALL)
    assert.equal(holder.possession.traffic.sentBytes, 0)
  })

  it('never on the word of the host that wants it', async () => {
    const holder = await scene.add('holder', { named: () => ['asker'] })
    await scene.add('asker', { holds: () => true })
    assert.deepEqual(await scene.confirmed(holder, ALL, 'asker'), [])
    assert.equal(holder.possession.traffic.sentBytes, 0)
  })

  it('not for what a host keeps in its store alone, be it of a guest that left for another', async () => {
    const holder = await scene.add('holder', { named: () => ['now'] })
    await scene.add('now', { holds: () => true })
    assert.deepEqual(await scene.confirmed(holder, ALL, 'asker', { resident: 0 }), [])
  })
})

describe('a holder that asks for proofs', () => {
  let scene: PossessionScene

  beforeEach(() => { scene = new PossessionScene(PAGES) })
  afterEach(async () => { await scene.end() })

  it('pays some nine bytes a page, and nothing again before the proofs are old', async () => {
    const holder = await scene.add('holder', { named: () => ['witness'] })
    const witness = await scene.add('witness', { holds: () => true })
    for (let times = 0; times < 5; times++) assert.deepEqual(await scene.confirmed(holder, ALL, `asker-${times}`), ALL)
    const { sentBytes, receivedBytes } = holder.possession.traffic
    assert.ok(sentBytes + receivedBytes < 9 * ALL.length, `${sentBytes} + ${receivedBytes} bytes`)
    assert.deepEqual({ ...witness.possession.traffic }, { sentBytes: receivedBytes, receivedBytes: sentBytes })
    await scene.pass(2 * INTERVAL_MS)
    await scene.confirmed(holder, ALL, 'asker')
    assert.ok(holder.possession.traffic.sentBytes > 1.9 * sentBytes)
  })

  it('asks the next host where one does not answer, in time for a guest that arrives', async () => {
    const holder = await scene.add('holder', { named: () => ['mute', 'witness'] })
    const mute = scene.network.createMesh('mute')
    mute.handle(POSSESSION_PROTOCOL, () => new Promise(() => undefined))
    await mute.start()
    await scene.add('witness', { holds: () => true })
    const startedAt = scene.clock.now()
    assert.deepEqual(await scene.confirmed(holder, ALL, 'asker'), ALL)
    assert.ok(scene.clock.now() - startedAt < 2_000)
    const againAt = scene.clock.now()
    await scene.confirmed(holder, range(100, 200), 'asker')
    assert.equal(scene.clock.now(), againAt, 'it is not waited for again')
  })

  it('believes nothing of a host that is not there, or that has lost its standing', async () => {
    const holder = await scene.add('holder', { named: () => ['gone', 'distrusted'] })
    await scene.add('distrusted', { holds: () => true })
    holder.standing.fault('memory-distrusted', 9)
    assert.deepEqual(await scene.confirmed(holder, ALL, 'asker'), [])
    assert.equal(holder.possession.traffic.sentBytes, 0)
  })

  it('does not go on asking one that proves nothing of what it is said to hold, until the next interval', async () => {
    const holder = await scene.add('holder', { named: () => ['liar'] })
    await scene.add('liar')
    for (let times = 0; times < 20; times++) assert.deepEqual(await scene.confirmed(holder, ALL, 'asker'), [])
    assert.ok(holder.possession.counts.missing < 1300, `${holder.possession.counts.missing} pages were asked for`)
    assert.deepEqual(holder.warnings, ['a host does not prove the pages that it is said to hold'])
    const { missing } = holder.possession.counts
    await scene.pass(INTERVAL_MS)
    await scene.confirmed(holder, ALL, 'asker')
    assert.equal(holder.possession.counts.missing, missing + ALL.length)
  })

  it('forgets what a host proved when it leaves', async () => {
    const holder = await scene.add('holder', { named: () => ['witness'] })
    const witness = await scene.add('witness', { holds: () => true })
    assert.deepEqual(await scene.confirmed(holder, ALL, 'asker'), ALL)
    await witness.mesh.stop()
    assert.deepEqual(await scene.confirmed(holder, ALL, 'asker'), [])
  })
})

describe('a witness', () => {
  it('answers at most two streams of a member, and none that has lost its standing or writes nonsense', async () => {
    const scene = new PossessionScene(PAGES)
    const witness = await scene.add('witness', { holds: () => true })
    const asker = scene.network.createMesh('asker')
    await asker.start()
    const { signal } = new AbortController()
    const open = () => asker.open('witness', POSSESSION_PROTOCOL, signal)
    const challenge = encodeChallenge({ nonce: new Uint8Array(NONCE_BYTES), prefixes: PAGES.prefixes(range(3)) })
    const streams = [await open(), await open(), await open()]
    for (const stream of streams.slice(0, 2)) {
      await stream.send(challenge)
      assert.equal((await stream.receive())[1], 0b111)
    }
    await assert.rejects(async () => await streams[2]!.receive())
    for (let times = 0; times < 5; times++) {
      await streams[0]!.close()
      await scene.pass(1)
      streams[0] = await open()
      await streams[0].send(Uint8Array.of(9))
      await assert.rejects(async () => await streams[0]!.receive())
    }
    assert.equal(witness.standing.isTrusted('memory-asker'), false)
    await streams[1]!.send(challenge)
    await assert.rejects(async () => await streams[1]!.receive())
    await scene.end()
    await asker.stop()
  })
})
