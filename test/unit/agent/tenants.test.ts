import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import {
  createAgent, MemoryNetwork, PAGE_BYTES, type Agent, type HandoffResult, type Mesh,
} from '../../../src/index.ts'
import { deriveKeys, keyEpoch, Standing } from '../../../src/mesh/index.ts'
import { createPageHasher, ID_BYTES, type Prefixes } from '../../../src/page/index.ts'
import { decodeAnswer, encodeChallenge, NONCE_BYTES, POSSESSION_PROTOCOL } from '../../../src/possession/proof.ts'
import { systemClock } from '../../../src/runtime/clock.ts'
import { silentLog } from '../../../src/runtime/log.ts'
import { systemRandom } from '../../../src/runtime/random.ts'
import { createSwap } from '../../../src/swap/index.ts'
import { waitFor } from '../../../testnet/index.ts'
import { destinationGuest, memoryOf, sourceGuest } from '../../support/fakeguest.ts'
import { precopyStream } from '../../support/streambuilder.ts'

const WAIT_MS = 40_000
const TENANTS = [{ guests: 'blue-*', tenant: 'blue' }, { guests: 'red-*', tenant: 'red' },
  { guests: 'image-*', tenant: 'public' }]

function pagesOf(count: number): Buffer[] {
  return Array.from({ length: count }, () => randomBytes(PAGE_BYTES))
}

/** The system that all guests of both tenants have, and one that a guest of either has. */
const SYSTEM = pagesOf(200)
const ODD = pagesOf(150)
/** What guests of no tenant in particular have. */
const COMMON = pagesOf(100)
/** What a public guest has, on one host. */
const IMAGE = pagesOf(80)
/** What one guest of `blue` has beside the image, and nobody else. */
const SECRET = pagesOf(60)
const POPULAR = 2 * SYSTEM.length + COMMON.length + IMAGE.length

describe('two tenants on the same hosts', function () {
  this.timeout(2 * WAIT_MS)
  const directory = mkdtempSync(join(tmpdir(), 'pm-tenants-'))
  const network = new MemoryNetwork()
  const clusterKey = randomBytes(32)
  let [a, b, c, d]: Agent[] = []
  let observer: Mesh | undefined

  /** Hosts of the list, c with a store; d of a configuration without tenants; and a member whose process is taken. */
  before(async () => {
    const made = async (name: string, maxBytes: number, tenants = TENANTS): Promise<Agent> => {
      const agent = await createAgent({
        name, clusterKey, runtimeDirectory: join(directory, name), census: { intervalSeconds: 1 },
        store: { path: join(directory, name), maxBytes }, ...(tenants.length === 0 ? {} : { tenants }),
      }, { mesh: network.createMesh(name) })
      await agent.start()
      return agent
    }
    a = await made('a', 0)
    b = await made('b', 0)
    c = await made('c', 16 * 2 ** 20)
    d = await made('d', 16 * 2 ** 20, [])
    for (const [agent, blue, red, web] of [[a, 'blue-1', 'red-1', 'web-1'], [b, 'blue-2', 'red-2', 'web-2']] as const) {
      agent.addGuest(memoryOf(blue, agent === a ? [...SYSTEM, ...ODD] : SYSTEM))
      agent.addGuest(memoryOf(red, agent === b ? [...SYSTEM, ...ODD] : SYSTEM))
      agent.addGuest(memoryOf(web, COMMON))
    }
    a.addGuest(memoryOf('image-1', IMAGE))
    b.addGuest(memoryOf('blue-3', [...IMAGE, ...SECRET]))
    for (const agent of [a, b, c]) await known(agent, POPULAR)
    await known(d, COMMON.length)
    await until('c to have filled its store', () => c!.status().store.pages === POPULAR)
    await until('d to have filled its store', () => d!.status().store.pages === COMMON.length)
  })
  after(async () => {
    for (const agent of [a, b, c, d]) await agent?.stop()
    await observer?.stop()
    rmSync(directory, { recursive: true, force: true })
  })

  async function until(what: string, isSo: () => boolean): Promise<void> {
    await waitFor(() => (isSo() ? true : undefined), { clock: systemClock, what, timeoutMs: WAIT_MS })
  }

  async function known(agent: Agent, pages: number): Promise<void> {
    const { host } = agent.status()
    await until(`${host} to know ${pages} popular pages`, () => agent.status().popularity.pages === pages)
  }

  /** Moves a guest with these pages from a, or another host, to another; what arrives is compared. */
  async function move(name: string, pages: Buffer[], to: Agent, from: Agent = a!): Promise<HandoffResult> {
    const { bytes } = precopyStream([{ name: 'pc.ram', pages: [...pages, undefined] }])
    const destination = destinationGuest(name, bytes.length)
    from.addGuest(sourceGuest(name, pages, bytes).guest)
    to.addGuest(destination.guest)
    await until(`${name} to be scanned`, () =>
      from.status().guests.some((guest) => guest.name === name && guest.distinctPages === pages.length))
    const result = await from.migrate({ guest: name, to: to.status().host })
    assert.equal(result.reason, undefined)
    assert.ok(result.digestMatched)
    assert.ok(Buffer.from(bytes).equals(destination.control.received))
    from.removeGuest(name)
    to.removeGuest(name)
    return result
  }

  it('are shown in status', () => {
    const shown = Object.fromEntries(a!.status().guests.map(({ name, tenant }) => [name, tenant]))
    assert.deepEqual(shown, { 'blue-1': 'blue', 'red-1': 'red', 'web-1': 'shared', 'image-1': 'public' })
  })

  it('make a page popular each for itself: equal pages of both are counted apart', () => {
    const all = a!.pages(10_000)
    assert.equal(all.length, POPULAR)
    const counts = all.map(({ guests, hosts }) => `${guests} guests, ${hosts} hosts`)
    assert.deepEqual(new Set(counts), new Set(['2 guests, 2 hosts', '1 guests, 1 hosts']))
    assert.equal(counts.filter((count) => count.startsWith('1')).length, IMAGE.length, 'the public ones')
    assert.equal(a!.status().census.distinctPages, POPULAR + ODD.length)
  })

  it('are unknown to a host without them, which keeps nothing of theirs and blames nobody', () => {
    const { popularity, placement, store } = d!.status()
    assert.deepEqual([popularity.refused, popularity.unproven, placement.wanted], [0, 0, COMMON.length])
    assert.equal(store.pages, COMMON.length)
  })

  it('have no reference to a page of the other, in its memory or in a store', async () => {
    const apart = await move('blue-odd', ODD, b!)
    assert.equal(apart.apart, undefined, 'both hosts agree whose it is')
    assert.deepEqual([apart.pages.ref, apart.pages.literal], [0, ODD.length])
    // The store has these pages twice, for blue and for red, and not for this guest.
    const stored = await move('web-system', SYSTEM, c!)
    assert.deepEqual([stored.pages.ref, stored.pages.literal], [0, SYSTEM.length])
    const common = await move('red-common', COMMON, c!)
    assert.equal(common.pages.ref, 0)
  })

  it('have references within the tenant', async () => {
    const memory = await move('red-odd', ODD, b!)
    assert.deepEqual([memory.pages.ref, memory.refsFilledBy.resident], [ODD.length, ODD.length])
    const store = await move('red-system', SYSTEM, c!)
    assert.deepEqual([store.pages.ref, store.refsFilledBy.store], [SYSTEM.length, SYSTEM.length])
    const image = await move('image-2', IMAGE, c!)
    assert.deepEqual([image.pages.ref, image.refsFilledBy.store], [IMAGE.length, IMAGE.length], 'that one host had')
  })

  it('have references to public pages, in a store and in the memory of public guests', async () => {
    const pages = [...IMAGE, ...SECRET]
    for (const name of ['web-image', 'blue-image']) {
      const store = await move(name, pages, c!)
      assert.deepEqual([store.pages.ref, store.refsFilledBy.store, store.refsFilledBy.source], [80, 80, 0])
      assert.equal(store.pages.literal, SECRET.length)
    }
    const memory = await move('red-image', pages, a!, b)
    assert.deepEqual([memory.pages.ref, memory.refsFilledBy.resident, memory.refsFilledBy.source], [80, 80, 0])
  })

  it('have none where the destination has no public page, though another tenant\'s guest has the same', async () => {
    // b has no store, and blue-3 is not public.
    const none = await move('web-image', IMAGE, b!)
    assert.deepEqual([none.pages.ref, none.pages.literal], [0, IMAGE.length])
    assert.equal((await move('web-image', IMAGE, d!)).pages.ref, 0)
  })

  it('have no third host asked for them: it would learn which public pages the guest holds', async () => {
    // a and c have what b lacks.
    const handed = (): number => [a!, c!].reduce((sum, agent) => sum + agent.status().traffic.peers.sentBytes, 0)
    const before = handed()
    const none = await move('web-image', [...IMAGE, ...SECRET], b!, d)
    assert.equal(none.apart, undefined)
    assert.deepEqual([none.pages.ref, none.refsFilledBy.peer, handed() - before], [0, 0, 0])
  })

  it('have them from a host whose configuration does not name that tenant', async () => {
    const { pages, refsFilledBy } = await move('web-plain', [...IMAGE, ...SECRET], c!, d)
    assert.deepEqual([pages.ref, refsFilledBy.store], [80, 80])
  })

  it('know before a move what it would come to, and compare hosts, with public pages', async () => {
    // Of its own tenant, public ones, and pages that c has for none that it may use.
    const pages = [...SYSTEM.slice(0, 50), ...IMAGE, ...SECRET, ...COMMON.slice(0, 30)]
    const there = 50 + IMAGE.length
    const { bytes } = precopyStream([{ name: 'pc.ram', pages: [...pages, undefined] }])
    a!.addGuest(sourceGuest('red-dry', pages, bytes).guest)
    const { guest: waiting } = destinationGuest('red-dry', bytes.length)
    for (const host of [b!, c!]) host.addGuest(Object.assign(waiting, { lastState: 'inmigrate' }))
    await until('red-dry to be scanned', () =>
      a!.status().guests.some((guest) => guest.name === 'red-dry' && guest.distinctPages === pages.length))
    const { expected, distinctPages, pagesAtDestination } = await a!.estimate({ guest: 'red-dry', to: 'c' })
    assert.deepEqual([expected?.pages.ref, distinctPages, pagesAtDestination], [there, pages.length, there])
    const { guests } = await a!.evacuate({ dryRun: true })
    const planned = guests.find(({ guest }) => guest === 'red-dry')
    const share = (count: number): number => Math.floor(count / pages.length * 100)
    assert.deepEqual([planned?.to, planned?.estimate?.pagesAtDestination], ['c', there])
    assert.equal(planned?.why, `c says that it has ${share(there)} % of its pages, b ${share(50)} %.`)
    for (const host of [a!, b!, c!]) host.removeGuest('red-dry')
    const { pages: moved } = await move('red-dry', pages, c!)
    assert.equal(moved.ref, there)
  })

  it('make nothing public: neither by what they hold nor by having been moved', async () => {
    // Its pages were scanned more than once.
    await until('blue-3 to be scanned', () => b!.status().census.scans > 8)
    for (const agent of [a!, b!, c!]) await known(agent, POPULAR)
    const single = a!.pages(10_000).filter(({ hosts }) => hosts === 1)
    assert.deepEqual([single.length, new Set(single.map(({ guests }) => guests))], [IMAGE.length, new Set([1])])
    assert.equal(c!.status().store.pages, POPULAR)
    assert.deepEqual(await ask('b', 'public', IMAGE), [0, 0], 'blue-3 has these pages, and is not public')
    assert.deepEqual(await ask('d', 'public', IMAGE), [0, 0], 'nor is web-plain, which was there')
    for (const host of ['a', 'b', 'c', 'd']) assert.deepEqual(await ask(host, 'public', SECRET), [0, 0], host)
  })

  it('move without references to a host that takes them for another, which is said', async () => {
    const result = await move('blue-system', SYSTEM, d!)
    assert.deepEqual([result.pages.ref, result.status], [0, 'completed'])
    assert.equal(result.apart, 'the guest is of tenant blue at the source, and of tenant shared at the destination')
  })

  /** The ids that a tenant's key makes of these pages. */
  function prefixesUnder(tenant: string, pages: readonly Buffer[]): Prefixes {
    const ids = Buffer.alloc(pages.length * ID_BYTES)
    createPageHasher(keyEpoch(clusterKey).pageKeyOf(tenant)).hashPages(Buffer.concat(pages), 0, pages.length, ids, 0)
    const at = (offset: number): Uint32Array =>
      Uint32Array.from(pages, (_, page) => ids.readUInt32BE(page * ID_BYTES + offset))
    return { count: pages.length, high: at(0), low: at(4) }
  }

  /** How many of the pages a host gives to the observer, and how many it proves to it that its guests hold. */
  async function ask(host: string, tenant: string, pages: readonly Buffer[]): Promise<[number, number]> {
    const part = pages.slice(0, 100)
    const prefixes = prefixesUnder(tenant, part)
    const signal = AbortSignal.timeout(WAIT_MS)
    if (observer === undefined) {
      // Only now: it owns slices of popular pages, and says nothing of them.
      observer = network.createMesh('observer')
      await observer.start()
    }
    const parts = { clock: systemClock, log: silentLog, random: systemRandom, mesh: observer }
    const swap = createSwap({
      ...parts, standing: new Standing(parts), sources: [], isPopular: () => false,
      hasher: createPageHasher(keyEpoch(clusterKey).pageKeyOf(tenant)), confirm: async () => new Uint8Array(0),
    }, { bytesPerSecondMax: 1e9 })
    await swap.start()
    let given = 0
    await swap.fetch({ ...prefixes, holdersOf: () => [host] }, {
      purpose: 'placement', signal, deliver: (arrived) => { given += arrived.count },
    })
    await swap.stop()
    const stream = await observer.open(host, POSSESSION_PROTOCOL, signal)
    await stream.send(encodeChallenge({ nonce: randomBytes(NONCE_BYTES), prefixes }))
    const { bitmap } = decodeAnswer(await stream.receive(signal), part.length)
    await stream.close()
    return [given, bitmap.reduce((sum, byte) => sum + byte.toString(2).replaceAll('0', '').length, 0)]
  }

  it('show nothing to a member of another tenant that asks for ids of its own', async () => {
    for (const host of ['a', 'b', 'c']) {
      for (const tenant of ['green', 'shared']) assert.deepEqual(await ask(host, tenant, SYSTEM), [0, 0], host)
    }
    // What only guests of the other tenant hold on the host that is asked.
    assert.deepEqual(await ask('a', 'red', ODD), [0, 0])
    assert.deepEqual(await ask('b', 'blue', ODD), [0, 0])
    assert.deepEqual(await ask('a', 'public', ODD), [0, 0])
    assert.notDeepEqual(deriveKeys(clusterKey).pageKey, keyEpoch(clusterKey).pageKeyOf('blue'))
  })

  it('are no secret to a member that derives their keys: it asks as one of them could', async () => {
    const [given, proven] = await ask('a', 'blue', SYSTEM)
    assert.deepEqual([given, proven], [100, 100])
    assert.deepEqual(await ask('a', 'blue', ODD), [0, 100], 'a page that one host has does not leave it')
    assert.deepEqual(await ask('a', 'public', IMAGE), [IMAGE.length, IMAGE.length], 'unless it is public')
  })
})
