import assert from 'node:assert/strict'

import { keyIdOf, KeyRing, MemoryNetwork, NamePins, type HeldKeys, type Mesh } from '../../../src/mesh/index.ts'
import { Rotation, type KeysNews, type RemovedKeys } from '../../../src/rotation/index.ts'
import {
  decodeKeysQuestion, encodeKeysAnswer, encodeKeysQuestion, KEYS_PROTOCOL,
} from '../../../src/rotation/wire.ts'
import { PagemeshError } from '../../../src/runtime/errors.ts'
import { silentLog } from '../../../src/runtime/log.ts'
import { systemRandom } from '../../../src/runtime/random.ts'
import { VirtualClock } from '../../support/time.ts'

const [OLD, NEW, THIRD] = [1, 2, 3].map((byte) => new Uint8Array(32).fill(byte)) as [Uint8Array, Uint8Array, Uint8Array]
const [oldId, newId, thirdId] = [OLD, NEW, THIRD].map(keyIdOf) as [string, string, string]

class Removed implements RemovedKeys {
  #ids: string[] = []

  ids(): readonly string[] {
    return this.#ids
  }

  async add(id: string): Promise<void> {
    this.#ids = [...this.#ids, id]
  }
}

/** A host's part in rotations, in a mesh inside this process. */
interface Host {
  mesh: Mesh
  ring: KeyRing
  removed: Removed
  rotation: Rotation
  pins: NamePins
  saved: HeldKeys[]
  news: KeysNews[]
  logged: string[]
  /** Thrown when the keys are to be written. */
  saveError: PagemeshError | undefined
  /** Called before the keys are written. */
  onSave: () => Promise<void>
  stop: () => Promise<void>
}

describe('the rotation of a cluster key', () => {
  let clock: VirtualClock
  let network: MemoryNetwork
  let hosts: Host[]

  beforeEach(() => {
    clock = new VirtualClock()
    network = new MemoryNetwork({ clock })
    hosts = []
  })
  afterEach(async () => { for (const host of hosts) await host.stop() })

  async function start(name: string, held: HeldKeys = { used: OLD }): Promise<Host> {
    const mesh = network.createMesh(name)
    const [ring, removed, logged, saved, news] = [new KeyRing(held), new Removed(), [], [], []] as
      [KeyRing, Removed, string[], HeldKeys[], KeysNews[]]
    const say = (message: string): void => { logged.push(message) }
    const log = { ...silentLog, warn: say, error: say, info: say }
    const pins = new NamePins({ clock, log: silentLog })
    const rotation = new Rotation({ mesh, clock, random: systemRandom, log, ring, removed, pins }, {
      save: async (keys) => {
        if (host.saveError !== undefined) throw host.saveError
        await host.onSave()
        saved.push(keys)
      },
      onNews: (one) => news.push(one),
    })
    const host: Host = {
      mesh, ring, removed, rotation, pins, saved, news, logged, saveError: undefined,
      onSave: async () => undefined, stop: async () => undefined,
    }
    for (const known of [...hosts.map((other) => other.mesh.self), mesh.self]) {
      for (const each of [...hosts, host]) each.pins.trust(known.name, known.peerId)
    }
    for (const other of hosts) other.pins.trust(name, mesh.self.peerId)
    await mesh.start()
    const stop = rotation.start()
    host.stop = async () => {
      stop()
      await mesh.stop()
    }
    hosts.push(host)
    return host
  }

  async function startThree(): Promise<[Host, Host, Host]> {
    return [await start('a'), await start('b'), await start('c')]
  }

  const run = (host: Host, ...[request]: Parameters<Rotation['run']>) => clock.complete(host.rotation.run(request))
  const idsOf = (...some: Host[]): string[][] => some.map(({ ring }) => ring.ids)
  const refused = (host: Host, request: Parameters<Rotation['run']>[0], code: string, message?: RegExp) =>
    assert.rejects(run(host, request), message === undefined ? { code } : { code, message })

  it('goes over all members in three steps, each kept by each host', async () => {
    const [a, b, c] = await startThree()
    const listed = await run(b, { action: 'list' })
    assert.deepEqual(listed.hosts.map(({ host }) => host), ['b', 'a', 'c'])
    for (const [host, request, ids] of [
      [a, { action: 'install', key: NEW }, [oldId, newId]], [b, { action: 'use', id: newId }, [newId, oldId]],
      [c, { action: 'remove', id: oldId }, [newId]],
    ] as const) {
      const report = await run(host, request)
      assert.deepEqual([report.complete, report.absent], [true, []])
      assert.deepEqual(idsOf(a, b, c), [ids, ids, ids])
    }
    for (const host of [a, b, c]) {
      assert.deepEqual(host.saved, [{ used: OLD, other: NEW }, { used: NEW, other: OLD }, { used: NEW }])
      assert.deepEqual(host.removed.ids(), [oldId])
    }
    assert.deepEqual(a.news.map(({ step, by, peerId }) => [step, by, peerId]),
      [['install', 'operator', null], ['use', 'b', 'memory-b'], ['remove', 'c', 'memory-c']])
  })

  it('changes nothing a second time, so that a step that reached only some can be repeated', async () => {
    const [a, b] = await startThree()
    for (const request of [
      { action: 'install', key: NEW }, { action: 'use', id: newId }, { action: 'remove', id: oldId },
    ] as const) {
      assert.equal((await run(a, request)).complete, true)
      assert.equal((await run(b, request)).complete, true)
    }
    assert.equal(a.saved.length, 3)
  })

  it('is refused before anything changes: each step by the state that needs another first', async () => {
    const [a, b] = await startThree()
    await refused(a, { action: 'use', id: newId }, 'key-unknown')
    await refused(a, { action: 'remove', id: oldId }, 'key-in-use')
    await run(a, { action: 'install', key: NEW })
    await refused(a, { action: 'install', key: THIRD }, 'keys-full')
    await refused(a, { action: 'remove', id: oldId }, 'key-in-use')
    b.ring.set({ used: OLD })
    await refused(a, { action: 'use', id: newId }, 'key-unready', /b does not have it/)
    b.ring.set({ used: OLD, other: NEW })
    a.ring.set({ used: NEW, other: OLD })
    await refused(a, { action: 'remove', id: oldId }, 'key-unready', /b still uses it; c still uses it/)
    await run(a, { action: 'use', id: newId })
    await run(a, { action: 'remove', id: oldId })
    await refused(a, { action: 'install', key: OLD }, 'key-removed')
    b.ring.set({ used: NEW, other: THIRD })
    const fourth = new Uint8Array(32).fill(4)
    await refused(a, { action: 'install', key: fourth }, 'key-unready', /b has two already/)
    assert.deepEqual(idsOf(a), [[newId]])
  })

  it('is refused while a known host is away that may need the key, unless that is named', async () => {
    const [a, b] = await startThree()
    a.pins.trust('d', 'memory-d')
    assert.equal((await run(a, { action: 'install', key: NEW })).complete, false)
    assert.equal((await run(a, { action: 'use', id: newId, without: ['d'] })).complete, true)
    await refused(a, { action: 'remove', id: oldId }, 'key-unready', /: d, which cannot be reached/)
    await refused(a, { action: 'remove', id: oldId, without: ['e'] }, 'key-unready')
    assert.deepEqual(idsOf(a, b), [[newId, oldId], [newId, oldId]])
    assert.equal((await run(a, { action: 'remove', id: oldId, without: ['d'] })).complete, true)
  })

  it('is not begun while a member does not answer, or runs a version without this', async () => {
    const a = await start('a')
    const silent = network.createMesh('s')
    await silent.start()
    await refused(a, { action: 'install', key: NEW }, 'key-unready', /s did not answer \(The host s does not answer/)
    silent.handle(KEYS_PROTOCOL, () => new Promise(() => undefined))
    await refused(a, { action: 'install', key: NEW }, 'key-unready', /s did not answer in time/)
    assert.equal((await run(a, { action: 'list' })).complete, false)
    assert.deepEqual(idsOf(a), [[oldId]])
    await silent.stop()
  })

  it('says of each host what it could not do, and does the rest', async () => {
    const [a, b, c] = await startThree()
    b.saveError = new PagemeshError('key-not-written', 'It is read-only.', { fault: 'host', advice: 'Let it write.' })
    const report = await run(a, { action: 'install', key: NEW })
    assert.deepEqual([report.complete, idsOf(a, b, c)], [false, [[oldId, newId], [oldId], [oldId, newId]]])
    assert.deepEqual(report.hosts.map(({ host, why }) => [host, why]),
      [['a', null], ['b', 'It is read-only. Let it write.'], ['c', null]])
    a.saveError = b.saveError
    b.saveError = undefined
    await refused(b, { action: 'use', id: newId }, 'key-unknown')
    assert.equal((await run(b, { action: 'install', key: NEW })).complete, true)
    await refused(a, { action: 'use', id: newId }, 'key-not-written')
    assert.deepEqual(idsOf(a, b, c), [[oldId, newId], [oldId, newId], [oldId, newId]])
  })

  it('can be installed here alone, and is then sent to nobody', async () => {
    const [a, b] = await startThree()
    const report = await run(a, { action: 'install', key: NEW, here: true })
    assert.deepEqual([report.complete, idsOf(a, b)], [true, [[oldId, newId], [oldId]]])
    assert.deepEqual(b.news, [])
    await clock.run(clock.now() + 200_000)
    assert.deepEqual(idsOf(b), [[oldId]])
    const late = await start('d')
    await clock.run(clock.now() + 10_000)
    assert.deepEqual([idsOf(late), late.rotation.state.lacks], [[[oldId]], [newId]])
    assert.match(late.rotation.state.advice ?? '', /Members have the cluster key/)
    await clock.run(clock.now() + 30_000)
    assert.deepEqual(late.logged, ['the cluster key needs attention'])
  })

  it('is one at a time', async () => {
    const [a, b] = await startThree()
    const first = a.rotation.run({ action: 'install', key: NEW })
    await refused(a, { action: 'install', key: NEW }, 'busy')
    const other = await clock.complete(b.rotation.run({ action: 'install', key: NEW }))
    await clock.complete(first)
    assert.equal(other.hosts.length, 3)
    assert.deepEqual(idsOf(a, b), [[oldId, newId], [oldId, newId]])
  })

  it('takes no member\'s word for a key that it does not prove', async () => {
    const a = await start('a', { used: OLD, other: NEW })
    const liar = network.createMesh('l')
    await liar.start()
    liar.handle(KEYS_PROTOCOL, async (stream) => {
      decodeKeysQuestion(await stream.receive())
      const keys = [newId, oldId].map((id) => ({ id, proof: new Uint8Array(32) }))
      await stream.send(encodeKeysAnswer({ keys, removed: [] }))
    })
    await refused(a, { action: 'use', id: newId }, 'key-unready', /l did not prove that it holds the key/)
    await liar.stop()
  })

  it('lets go whoever comes by the old key while that is removed, and keeps who proves the new one', async () => {
    const a = await start('a', { used: NEW, other: OLD })
    const b = await start('b', { used: NEW, other: OLD })
    const late = network.createMesh('late')
    const right: Host[] = []
    // All members have been asked by now.
    a.onSave = async () => {
      await late.start()
      right.push(await start('r', { used: NEW }))
    }
    const report = await run(a, { action: 'remove', id: oldId })
    await clock.run(clock.now() + 20_000)
    assert.deepEqual([report.complete, idsOf(a)], [false, [[newId]]])
    assert.match(report.hosts[1]?.why ?? '', /^Not every member is ready to remove that key: late did not answer/)
    assert.deepEqual(a.mesh.members().map(({ name }) => name), ['b', 'r'])
    assert.ok(a.logged.includes('a member did not prove the cluster key that remains: it was let go'))
    assert.deepEqual(idsOf(b, ...right), [[newId, oldId], [newId]])
    await late.stop()
    await clock.run(clock.now() + 61_000)
    assert.deepEqual(idsOf(b), [[newId]], 'it follows once it can')
  })

  it('of a member is carried out only as far as this host\'s own members are ready', async () => {
    const a = await start('a', { used: OLD, other: NEW })
    const hostile = network.createMesh('h')
    await hostile.start()
    const b = await start('b')
    const asked = async (change: NonNullable<Parameters<typeof encodeKeysQuestion>[0]['change']>): Promise<void> => {
      const stream = await hostile.open('a', KEYS_PROTOCOL, new AbortController().signal)
      await stream.send(encodeKeysQuestion({ nonce: new Uint8Array(32), change }))
      await clock.complete(stream.receive())
    }
    await asked({ do: 'use', id: newId })
    assert.deepEqual([idsOf(a), a.saved], [[[oldId, newId]], []], 'b and h have no such key')
    await asked({ do: 'remove', id: oldId })
    assert.deepEqual(idsOf(a), [[oldId, newId]], 'a uses it')
    assert.deepEqual(idsOf(b), [[oldId]])
    for (let count = 0; count < 40; count++) await asked({ do: 'use', id: newId })
    assert.ok(a.logged.filter((line) => line.includes('refused')).length >= 40)
    await hostile.stop()
  })

  it('brings along a known host that was away, but nobody under its name', async () => {
    const [a, b] = await startThree()
    const away = await start('d')
    await away.stop()
    await run(a, { action: 'install', key: NEW })
    await run(a, { action: 'use', id: newId })
    const back = await start('d')
    await clock.run(clock.now() + 5_000)
    assert.deepEqual(idsOf(back), [[newId, oldId]])
    assert.deepEqual(back.news.map(({ step, by }) => [step, by]), [['install', 'a'], ['use', 'a']])
    // It is not known to a by this identity.
    a.pins.trust('e', 'another-identity')
    await run(a, { action: 'use', id: newId })
    const other = await start('e')
    await clock.run(clock.now() + 5_000)
    assert.deepEqual([idsOf(other), other.rotation.state.lacks], [[[oldId]], [newId]])
    assert.equal((await run(b, { action: 'install', key: NEW })).complete, true)
    assert.deepEqual([idsOf(other), other.rotation.state.lacks], [[[oldId, newId]], []])
  })

  it('is followed by a host that has both keys and missed the end', async () => {
    const [a] = await startThree()
    await run(a, { action: 'install', key: NEW })
    await run(a, { action: 'use', id: newId })
    await run(a, { action: 'remove', id: oldId })
    for (const held of [{ used: OLD, other: NEW }, { used: NEW, other: OLD }]) {
      const back = await start('d', held)
      await clock.run(clock.now() + 5_000)
      assert.deepEqual([idsOf(back), back.removed.ids()], [[[newId]], [oldId]])
      await back.stop()
    }
    // Neither key was removed.
    const third = await start('f', { used: NEW, other: THIRD })
    await clock.run(clock.now() + 200_000)
    assert.deepEqual(idsOf(third), [[newId, thirdId]])
  })
})
