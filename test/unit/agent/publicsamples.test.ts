import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { knownAt } from '../../../src/agent/cluster.ts'
import { publicAmong, PublicSamples } from '../../../src/agent/publicsamples.ts'
import type { GuestCensus } from '../../../src/census/index.ts'
import { createAgent, MemoryNetwork, PAGE_BYTES, type Agent } from '../../../src/index.ts'
import { ID_BYTES, PageColumns, SortedTable, type PageBatch, type PageScope } from '../../../src/page/index.ts'
import type { KnownPublic } from '../../../src/passage/index.ts'
import { systemClock } from '../../../src/runtime/clock.ts'
import { silentLog, type Log } from '../../../src/runtime/log.ts'
import { waitFor } from '../../../testnet/index.ts'
import { destinationGuest, memoryOf, sourceGuest } from '../../support/fakeguest.ts'
import { page } from '../../support/madepages.ts'
import { madeEpoch, scopesOf } from '../../support/madescopes.ts'
import { knownPublic, publicSetOf } from '../../support/publicpages.ts'
import { precopyStream } from '../../support/streambuilder.ts'

const SIGNAL = new AbortController().signal
const scopes = scopesOf('blue', 'public')
const blue = scopes.of('blue-1')!
const publicHasher = scopes.publicHasher(blue.epoch)!

function idUnder(hasher: PageScope['hasher'], bytes: Uint8Array): readonly [high: number, low: number] {
  const id = Buffer.alloc(ID_BYTES)
  hasher.hashPages(bytes, 0, 1, id, 0)
  return [id.readUInt32BE(0), id.readUInt32BE(4)]
}

/** A census of one guest with these pages, and how often its memory was read. */
class MadeCensus {
  reads = 0
  found: GuestCensus | undefined
  memory: Buffer[]
  /** Pages that are not in memory now. */
  readonly absent = new Set<number>()
  fault: Error | undefined

  constructor(pages: readonly Buffer[], scope = blue) {
    this.memory = [...pages]
    this.scan(scope)
  }

  scan(scope = blue): void {
    const columns = new PageColumns(this.memory.length)
    this.memory.forEach((bytes, number) => columns.push(...idUnder(scope.hasher, bytes), number))
    const table = SortedTable.from(columns)
    this.found = {
      scope, table, distinctPages: table.size, numberAt: (index: number) => table.valueAt(index),
    } as GuestCensus
  }

  of(guest: string): GuestCensus | undefined {
    return guest === 'blue-1' ? this.found : undefined
  }

  readonly resident = {
    kind: 'resident' as const,
    fill: async (batch: PageBatch) => {
      if (this.fault !== undefined) throw this.fault
      const ids = Buffer.from(batch.ids)
      for (let index = 0; index < batch.count; index++) {
        const number = this.found!.table.get(ids.readUInt32BE(index * ID_BYTES), ids.readUInt32BE(index * ID_BYTES + 4))
        if (this.absent.has(number)) continue
        this.reads += 1
        batch.bytes.set(this.memory[number]!, index * PAGE_BYTES)
        batch.markFilled(index, 'resident')
      }
    },
  }
}

/** Whether a page is one of these, by the id that this hasher makes. */
function among(hasher: PageScope['hasher'], pages: readonly Uint8Array[]): (high: number, low: number) => boolean {
  const names = new Set(pages.map((bytes) => idUnder(hasher, bytes).join()))
  return (high, low) => names.has([high, low].join())
}

const PAGES = Array.from({ length: 10 }, (_, number) => page(number + 1))

describe('how many of a guest\'s pages are public pages elsewhere', () => {
  const count = async (
    census: MadeCensus, there: readonly Uint8Array[], counted: readonly Uint8Array[] = [], guest = 'blue-1',
    samples = new PublicSamples({ census, scopes }),
  ): Promise<number> => await samples.count(guest, {
    isThere: among(publicHasher, there), isCounted: among(blue.hasher, counted),
  }, SIGNAL)

  it('is counted exactly of a guest of few pages, those left out that are counted as its own', async () => {
    const census = new MadeCensus(PAGES)
    assert.equal(await count(census, [...PAGES.slice(2, 6), page(99)]), 4)
    assert.equal(await count(census, PAGES.slice(2, 6), [...PAGES.slice(0, 3), PAGES[5]!]), 2)
    assert.equal(await count(census, []), 0)
  })

  it('leaves out pages that have changed since they were scanned, or are not in memory', async () => {
    const census = new MadeCensus(PAGES)
    census.memory[3] = page(50)
    census.absent.add(4)
    assert.equal(await count(census, [...PAGES.slice(2, 6), page(50)]), 2)
  })

  it('is nothing of a guest that was not scanned, or is public itself: its own ids tell', async () => {
    const census = new MadeCensus(PAGES)
    assert.equal(await count(census, PAGES, [], 'blue-2'), 0)
    census.scan(scopes.of('public-1'))
    assert.deepEqual([await count(census, PAGES), census.reads], [0, 0])
    census.scan(scopesOf('blue').of('blue-1'))
    assert.equal(await count(census, PAGES), PAGES.length, 'whether or not this host has public guests')
    const other = madeEpoch(2)
    census.found = { ...census.found!, scope: { ...blue, epoch: other.id } }
    assert.deepEqual([await count(census, PAGES), census.reads], [0, PAGES.length], 'a key that is gone')
  })

  it('reads its memory once a scan, whoever is compared', async () => {
    const census = new MadeCensus(PAGES)
    const samples = new PublicSamples({ census, scopes })
    for (const there of [PAGES.slice(0, 3), PAGES.slice(0, 7)]) {
      assert.equal(await count(census, there, [], 'blue-1', samples), there.length)
    }
    assert.equal(census.reads, PAGES.length)
    census.scan()
    await count(census, PAGES, [], 'blue-1', samples)
    assert.equal(census.reads, 2 * PAGES.length)
  })

  it('is added to an estimate, which has no more than all pages', async () => {
    const publicSamples = { count: async () => 7 } as unknown as PublicSamples
    const estimate = {
      guest: 'blue-1', from: 'a', to: 'b', mode: 'precopy' as const, dryRun: true as const, distinctPages: 10,
      pagesAtDestination: 2,
    }
    const known = { count: 0, high: new Uint32Array(0), low: new Uint32Array(0) }
    const counted = async (own: number, publicPages: KnownPublic | undefined): Promise<number> => {
      const before = { ...estimate, pagesAtDestination: own }
      return (await publicAmong({ publicSamples }, { known, publicPages }, before, SIGNAL)).pagesAtDestination
    }
    const publicPages = await knownPublic(PAGES)
    assert.deepEqual([await counted(2, publicPages), await counted(8, publicPages)], [9, 10])
    assert.equal(await counted(2, undefined), 2, 'where the ends did not agree on public pages')
  })

  it('is told by what was answered: the public pages of the list, without those of the bitmap', async () => {
    const census = new MadeCensus(PAGES)
    const own = PAGES.slice(0, 4).map((bytes) => idUnder(blue.hasher, bytes)).sort(([one], [other]) => one - other)
    const known = {
      count: own.length, high: Uint32Array.from(own, ([high]) => high), low: Uint32Array.from(own, ([, low]) => low),
    }
    const publicPages = { pageKey: publicHasher.pageKey, pages: await publicSetOf(PAGES.slice(2, 8), publicHasher) }
    const { pagesAtDestination } = await publicAmong(
      { publicSamples: new PublicSamples({ census, scopes }) }, { known, publicPages },
      { guest: 'blue-1', from: 'a', to: 'b', mode: 'precopy', dryRun: true, distinctPages: 10, pagesAtDestination: 4 },
      SIGNAL,
    )
    assert.equal(pagesAtDestination, 8)
  })
})

describe('what is known here of a guest\'s pages at a host', () => {
  const debugged: string[] = []
  const log: Log = { ...silentLog, debug: (message) => { debugged.push(message) } }
  const holders = (hasher: PageScope['hasher'], pages: readonly Uint8Array[], host: string) => {
    const isOne = among(hasher, pages)
    return { pages: pages.length, holdersOf: (high: number, low: number) => (isOne(high, low) ? ['c', host] : []) }
  }

  function knowing(census: MadeCensus, own: readonly Buffer[], open: readonly Buffer[]) {
    const view = holders(blue.hasher, own, 'b')
    return {
      log, census, mesh: { self: { name: 'a' } }, publicView: holders(publicHasher, open, 'b'),
      popularity: { view: { ...view, hostsOf: (high: number, low: number) => view.holdersOf(high, low).length } },
      publicSamples: new PublicSamples({ census, scopes }),
    } as unknown as Parameters<typeof knownAt>[0]
  }

  it('is how many are popular pages of its own, and how many others are public ones', async () => {
    const knowledge = knowing(new MadeCensus(PAGES), PAGES.slice(0, 3), PAGES.slice(2, 7))
    assert.deepEqual(await knownAt(knowledge, 'blue-1', 'b'), { distinctPages: 10, pagesAtDestination: 7 })
    assert.deepEqual(await knownAt(knowledge, 'blue-1', 'd'), { distinctPages: 10, pagesAtDestination: 0 })
    assert.deepEqual(await knownAt(knowledge, 'blue-2', 'b'), { distinctPages: 0, pagesAtDestination: 0 })
  })

  it('has no public ones where none are known, and its memory is not read', async () => {
    const census = new MadeCensus(PAGES)
    for (const publicView of [undefined, holders(publicHasher, [], 'b')]) {
      const knowledge = { ...knowing(census, PAGES.slice(0, 3), PAGES), publicView }
      assert.equal((await knownAt(knowledge, 'blue-1', 'b')).pagesAtDestination, 3)
    }
    assert.equal(census.reads, 0)
  })

  it('has none where the memory cannot be read, and an evacuation goes on', async () => {
    const census = new MadeCensus(PAGES)
    census.fault = new Error('no memory')
    const knowledge = knowing(census, PAGES.slice(0, 3), PAGES)
    assert.equal((await knownAt(knowledge, 'blue-1', 'b')).pagesAtDestination, 3)
    assert.deepEqual(debugged, ['the public pages of a guest could not be counted'])
  })
})

/** More than are looked at. */
const LARGE_PAGES = 20_000
const LARGE_PUBLIC_PAGES = 9000
const WAIT_MS = 40_000

describe('a dry run of a guest of many pages, many of them public at the destination', function () {
  this.timeout(2 * WAIT_MS)
  const directory = mkdtempSync(join(tmpdir(), 'pm-publicsamples-'))
  const agents: Agent[] = []
  after(async () => {
    for (const agent of agents) await agent.stop()
    rmSync(directory, { recursive: true, force: true })
  })

  it('expects what then is referred to', async () => {
    const network = new MemoryNetwork()
    const clusterKey = randomBytes(32)
    const tenants = [{ guests: 'image-*', tenant: 'public' }, { guests: '*', tenant: 'blue' }]
    for (const name of ['a', 'b']) {
      const agent = await createAgent({
        name, clusterKey, tenants, runtimeDirectory: join(directory, name), census: { intervalSeconds: 1 },
        store: { path: join(directory, name), maxBytes: 0 },
      }, { mesh: network.createMesh(name) })
      await agent.start()
      agents.push(agent)
    }
    const [a, b] = agents as [Agent, Agent]
    const memory = Array.from({ length: LARGE_PAGES }, () => randomBytes(PAGE_BYTES))
    const { bytes } = precopyStream([{ name: 'pc.ram', pages: [...memory, undefined] }])
    a.addGuest(sourceGuest('web', memory, bytes).guest)
    b.addGuest(memoryOf('image-1', memory.slice(0, LARGE_PUBLIC_PAGES)))
    b.addGuest(destinationGuest('web', bytes.length).guest)
    await waitFor(() => (a.status().census.scans > 1 && b.status().census.scans > 1 ? true : undefined), {
      clock: systemClock, what: 'both to be scanned twice', timeoutMs: WAIT_MS,
    })
    const { expected, distinctPages, pagesAtDestination } = await a.estimate({ guest: 'web', to: 'b' })
    const result = await a.migrate({ guest: 'web', to: 'b' })
    assert.equal(result.reason, undefined)
    assert.deepEqual([distinctPages, result.pages.ref], [LARGE_PAGES, LARGE_PUBLIC_PAGES])
    for (const [told, came] of [
      [pagesAtDestination, result.pages.ref], [expected!.pages.ref, result.pages.ref],
      [expected!.wireBytes, result.wireBytes],
    ] as const) assert.ok(Math.abs(told / came - 1) < 0.04, `${told} expected, it was ${came}`)
  })
})
