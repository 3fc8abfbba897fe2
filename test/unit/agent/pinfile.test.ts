import assert from 'node:assert/strict'
import { mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

import { acceptPeer, listPeers } from '../../../src/agent/peers.ts'
import { parsePins, PinFile } from '../../../src/agent/pinfile.ts'
import { MemoryNetwork, NamePins } from '../../../src/mesh/index.ts'
import { silentLog } from '../../../src/runtime/log.ts'
import { madeDirectory } from '../../support/madestore.ts'
import { VirtualClock } from '../../support/time.ts'

const directory = madeDirectory()
const components = { clock: new VirtualClock(), log: silentLog }
let count = 0

describe('the file of whose name is whose', () => {
  let path = ''
  beforeEach(() => { path = join(directory, `pins-${count++}`, 'host-a.pins') })

  async function opened(): Promise<{ pins: NamePins; file: PinFile }> {
    const pins = new NamePins(components)
    const file = new PinFile({ log: silentLog, pins }, { path })
    await file.start()
    return { pins, file }
  }

  it('keeps the pins over a restart, for its owner alone', async () => {
    const { pins, file } = await opened()
    for (let n = 0; n < 100; n++) pins.trust(`host-${n}`, `peer${n}`)
    pins.refuse('host-7', 'peerX')
    pins.accept('host-7')
    await file.stop()
    const again = await opened()
    assert.deepEqual(again.pins.pins(), pins.pins())
    assert.equal(again.pins.holderOf('host-7'), 'peerX')
    assert.equal((await stat(path)).mode & 0o777, 0o600)
    assert.deepEqual(await readdir(join(path, '..')), ['host-a.pins'])
  })

  it('that is damaged is refused, with what to do, and left as it is', async () => {
    await mkdir(join(path, '..'), { recursive: true })
    const pin = { name: 'b', peerId: 'peerB', since: 1 }
    const damaged = ['', '{', 'null', '[]', '{"version":2,"pins":[]}', '{"version":1}',
      ...[{ ...pin, name: '../b' }, { ...pin, peerId: 7 }, { ...pin, since: 'x' }, null].map((other) =>
        JSON.stringify({ version: 1, pins: [pin, other] }))]
    for (const text of damaged) {
      await writeFile(path, text)
      await assert.rejects(opened(), { code: 'pins-unusable', advice: /pagemesh peers/ }, text)
      assert.equal(await readFile(path, 'utf8'), text)
    }
    assert.deepEqual(parsePins(JSON.stringify({ version: 1, pins: [pin] })), [pin])
    assert.equal(parsePins(JSON.stringify({ version: 1, pins: Array(4097).fill(pin) })), undefined)
  })

  it('that cannot be written stops nothing', async () => {
    await writeFile(join(path, '..'), 'in the way')
    const pins = new NamePins(components)
    const file = new PinFile({ log: silentLog, pins }, { path })
    await assert.rejects(file.start(), { code: 'pins-unusable' })
    pins.onChange()
    await file.stop()
  })
})

describe('the names of a mesh', () => {
  it('are listed with who has them, whose they are and who wants them', async () => {
    const network = new MemoryNetwork()
    const [a, b] = [network.createMesh('a'), network.createMesh('b')]
    await a.start()
    await b.start()
    const pins = new NamePins(components)
    pins.trust('b', b.self.peerId)
    pins.trust('c', 'peerC')
    pins.refuse('c', 'peerX')
    assert.deepEqual(listPeers(a, pins).map(({ host, peerId, pinnedTo, claims }) =>
      [host, peerId, pinnedTo, claims.map((claim) => claim.peerId)]), [
      ['a', 'memory-a', null, []], ['b', 'memory-b', 'memory-b', []], ['c', null, 'peerC', ['peerX']],
    ])
    pins.refuse('b', 'peerX')
    assert.throws(() => acceptPeer(a, pins, 'b'), { code: 'name-in-use' })
    assert.throws(() => acceptPeer(a, pins, 'a', 'peerX'), { code: 'own-name' })
    assert.deepEqual(acceptPeer(a, pins, 'c'), { host: 'c', peerId: 'peerX', before: 'peerC' })
    await Promise.all([a.stop(), b.stop()])
  })
})
