import assert from 'node:assert/strict'
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

import fc from 'fast-check'

import {
  ID_BYTES, PAGE_BYTES, PageBatch, SEAL_BYTES, type PageHasher, type PageScopes,
} from '../../../src/page/index.ts'
import { systemClock } from '../../../src/runtime/clock.ts'
import { systemRandom } from '../../../src/runtime/random.ts'
import {
  decodeHead, HEAD_BYTES, RECORD_BYTES, SLOT_BYTES, type NamedScope,
} from '../../../src/store/format.ts'
import type { Store } from '../../../src/store/index.ts'
import { ScopeSeal, SlotRun } from '../../../src/store/sealing.ts'
import { waitFor } from '../../../testnet/index.ts'
import { madeEpoch, madeScopes, scopesOf } from '../../support/madescopes.ts'
import {
  madeDirectory, madeLog, madeStore, numbers, pageOf, pagesOf, sealedFor, signal,
} from '../../support/madestore.ts'

const TENANTS = ['blue', 'red', 'shared']
const PAGES = 12

function hasherOf(scopes: PageScopes, tenant: string, epoch = scopes.epochs[0]!): PageHasher {
  return scopes.find({ tenant, epoch })!.hasher
}

/** Resolves when the store has this many pages. */
async function dropped(store: Store, pages: number): Promise<void> {
  const isDone = (): true | undefined => store.pages === pages || undefined
  await waitFor(isDone, { clock: systemClock, what: 'the pages to be dropped', timeoutMs: 10_000, pauseMs: 5 })
}

function headOf(path: string): NamedScope[] {
  const head = decodeHead(readFileSync(join(path, 'pages.index')).subarray(0, HEAD_BYTES))
  assert.ok(Array.isArray(head))
  return head
}

/** Whether a sealed page opens, into `page`. */
function opens(
  seal: ScopeSeal, sealed: Uint8Array, page: Buffer, slot: number, prefix: readonly [number, number],
): boolean {
  const run = new SlotRun(1)
  run.begin(page)
  run.add(0, 0, 0, slot, ...prefix)
  run.sealed.set(sealed)
  seal.open(run, 0, 1)
  return run.isOpen[0] === 1
}

/** The numbers of the pages that the store has under this key, each compared with what was put. */
async function had(store: Store, wanted: readonly number[], by: PageHasher): Promise<number[]> {
  const batch = new PageBatch(pagesOf(wanted, by).ids)
  await store.source.fill(batch, signal)
  return wanted.filter((number, index) => {
    if (!batch.isFilled(index)) return false
    assert.ok(batch.bytes.subarray(index * PAGE_BYTES, (index + 1) * PAGE_BYTES).equals(pageOf(number)))
    return true
  })
}

describe('a store whose pages lie sealed', function () {
  this.timeout(60_000)
  const parent = madeDirectory()
  let stores = 0
  const nextPath = (): string => join(parent, `store-${stores++}`)
  const filesOf = (path: string): Buffer[] => readdirSync(path).map((name) => readFileSync(join(path, name)))

  /** A store with the same twelve pages of each tenant, stopped. */
  async function filled(scopes: PageScopes, tenants: readonly string[] = TENANTS): Promise<string> {
    const path = nextPath()
    const store = madeStore(path, { scopes })
    await store.start()
    for (const tenant of tenants) {
      const counts = await store.put(pagesOf(numbers(PAGES), hasherOf(scopes, tenant)), 'head')
      assert.equal(counts.stored, PAGES)
    }
    await store.stop()
    return path
  }

  async function opened(path: string, scopes: PageScopes): Promise<{ store: Store; warnings: string[] }> {
    const log = madeLog()
    const store = madeStore(path, { scopes, log })
    await store.start()
    return { store, warnings: log.warnings }
  }

  it('finds pages of each scope, mixed in one batch and across restarts, and refuses those of none', async () => {
    const scopes = scopesOf('blue', 'red')
    scopes.add(madeEpoch(2))
    const all = scopes.all()
    const whose = fc.array(fc.integer({ min: -1, max: all.length - 1 }), { minLength: 1, maxLength: 60 })
    const stranger = madeScopes(new Uint8Array(32).fill(99)).oldest.hasher
    await fc.assert(fc.asyncProperty(whose, async (owners) => {
      const path = nextPath()
      const store = madeStore(path, { scopes })
      await store.start()
      const ids = owners.map((owner, number) => pagesOf([number], all[owner]?.hasher ?? stranger).ids)
      const bytes = Buffer.concat(owners.map((_, number) => pageOf(number)))
      const refused = owners.filter((owner) => owner < 0).length
      assert.deepEqual(await store.put({ ids: Buffer.concat(ids), bytes, count: owners.length }, 'head'), {
        stored: owners.length - refused, known: 0, refused,
      })
      for (let time = 0; time < 2; time++) {
        for (const [owner, { hasher }] of all.entries()) {
          const own = numbers(owners.length).filter((number) => owners[number] === owner)
          assert.deepEqual(await had(store, numbers(owners.length), hasher), own)
        }
        await store.stop()
        await store.start()
      }
      assert.equal(store.damagedPages, 0)
      await store.stop()
    }), { numRuns: 15 })
  })

  it('leaves neither a page, nor a key, nor a name on the disk', async () => {
    const scopes = scopesOf('blue', 'red')
    const path = await filled(scopes)
    for (const file of filesOf(path)) {
      for (const marker of ['page 3 ', 'blue', 'red', 'shared', scopes.epochs[0]!]) assert.ok(!file.includes(marker))
      for (const scope of scopes.all()) {
        for (const key of [scope.storeKey, scope.hasher.pageKey]) assert.ok(!file.includes(Buffer.from(key)))
      }
    }
  })

  it('seals the same page otherwise each time and in each store', async () => {
    const paths = [await filled(madeScopes(), ['shared']), await filled(madeScopes(), ['shared'])]
    const [one, other] = paths.map((path) => readFileSync(join(path, 'pages.slab'))) as [Buffer, Buffer]
    const partsOf = (slab: Buffer): string[] => numbers(2 * PAGES).map((half) =>
      slab.subarray(half / 2 * SLOT_BYTES + 4).subarray(half % 2 === 0 ? 0 : SEAL_BYTES, 64).toString('hex'))
    assert.equal(new Set([...partsOf(one), ...partsOf(other)]).size, 4 * PAGES)
    assert.notEqual(one.readUInt32LE(0), other.readUInt32LE(0), 'another run')
    assert.equal(new Set(paths.map((path) => headOf(path).map(({ name }) => name.join()).join())).size, 2)
  })

  it('serves no page of a slot in which any one byte was changed, counts it, and serves the others', async () => {
    const scopes = scopesOf('blue', 'red')
    const path = await filled(scopes)
    const slab = readFileSync(join(path, 'pages.slab'))
    const place = fc.oneof(fc.nat(SEAL_BYTES - 1), fc.nat(SLOT_BYTES - 1))
    await fc.assert(fc.asyncProperty(fc.nat(PAGES - 1), place, fc.integer({ min: 1, max: 255 }), async (
      slot, at, by,
    ) => {
      const damaged = Buffer.from(slab)
      damaged[slot * SLOT_BYTES + at]! ^= by
      writeFileSync(join(path, 'pages.slab'), damaged)
      const copy = readFileSync(join(path, 'pages.index'))
      const { store } = await opened(path, scopes)
      const rest = numbers(PAGES).filter((number) => number !== slot)
      assert.deepEqual(await had(store, numbers(PAGES), hasherOf(scopes, 'blue')), rest)
      assert.deepEqual(await had(store, numbers(PAGES), hasherOf(scopes, 'red')), numbers(PAGES))
      assert.equal(store.damagedPages, 1)
      await store.stop()
      writeFileSync(join(path, 'pages.index'), copy)
    }), { numRuns: 100 })
  })

  it('serves no page in another\'s place, with its record or without, from this store or another', async () => {
    const scopes = scopesOf('blue', 'red')
    const [path, source] = [await filled(scopes), await filled(scopes)]
    const slab = readFileSync(join(path, 'pages.slab'))
    const index = readFileSync(join(path, 'pages.index'))
    const others = readFileSync(join(source, 'pages.slab'))
    const count = TENANTS.length * PAGES
    const recordAt = (slot: number): number => HEAD_BYTES + slot * RECORD_BYTES
    for (const [from, into] of [[0, 1], [0, PAGES], [PAGES, 0], [2 * PAGES, 3]] as const) {
      for (const [what, withRecord] of [[slab, false], [slab, true], [others, false]] as const) {
        const [there, records] = [Buffer.from(slab), Buffer.from(index)]
        what.copy(there, into * SLOT_BYTES, from * SLOT_BYTES, (from + 1) * SLOT_BYTES)
        if (withRecord) index.copy(records, recordAt(into), recordAt(from), recordAt(from + 1))
        writeFileSync(join(path, 'pages.slab'), there)
        writeFileSync(join(path, 'pages.index'), records)
        const { store } = await opened(path, scopes)
        let pages = 0
        for (const tenant of TENANTS) pages += (await had(store, numbers(PAGES), hasherOf(scopes, tenant))).length
        assert.deepEqual([pages, store.damagedPages], [count - 1, 1])
        await store.stop()
      }
    }
    // The same slot of another store: only its salt differs.
    writeFileSync(join(path, 'pages.slab'), others)
    writeFileSync(join(path, 'pages.index'), index)
    const { store } = await opened(path, scopes)
    assert.deepEqual(await had(store, numbers(PAGES), hasherOf(scopes, 'red')), [])
    assert.equal(store.damagedPages, PAGES)
    await store.stop()
  })

  it('yields nothing to another cluster key, and says so', async () => {
    const path = await filled(madeScopes(), ['shared'])
    const wrong = scopesOf()
    wrong.add(madeEpoch(2))
    wrong.use(madeEpoch(2).id)
    wrong.retire(madeEpoch(1).id)
    const { store, warnings } = await opened(path, wrong)
    assert.deepEqual([store.pages, store.damagedPages, warnings.length], [0, 0, 1])
    assert.match(warnings[0]!, /tenants or keys that are gone/)
    assert.equal(statSync(join(path, 'pages.slab')).size, 0)
    await store.stop()
  })

  it('keeps what it has when a tenant comes, and drops what a removed one had, for good, and that alone', async () => {
    const scopes = scopesOf('blue', 'red')
    const path = await filled(scopes)
    const { salt } = headOf(path)[TENANTS.indexOf('red')]!
    const more = await opened(path, scopesOf('red', 'green', 'blue'))
    assert.deepEqual([more.store.pages, more.warnings], [3 * PAGES, []])
    await more.store.stop()

    const fewer = scopesOf('blue')
    const { store, warnings } = await opened(path, fewer)
    assert.deepEqual([store.pages, store.damagedPages, warnings.length], [2 * PAGES, 0, 1])
    for (const tenant of ['blue', 'shared']) {
      assert.deepEqual(await had(store, numbers(PAGES), hasherOf(fewer, tenant)), numbers(PAGES))
    }
    await store.stop()

    // Its salt is gone, so that its key opens nothing; a copy of the index brings that back.
    const again = await opened(path, scopes)
    assert.deepEqual([again.store.pages, again.warnings], [2 * PAGES, []])
    assert.deepEqual(await had(again.store, numbers(PAGES), hasherOf(scopes, 'red')), [])
    await again.store.stop()
    const red = new ScopeSeal({ random: systemRandom }, scopes.of('red-1')!, salt)
    const sealed = readFileSync(join(path, 'pages.slab')).subarray(PAGES * SLOT_BYTES, (PAGES + 1) * SLOT_BYTES)
    const [page, id] = [Buffer.alloc(PAGE_BYTES), pagesOf([0], red.scope.hasher).ids as Buffer]
    const prefix = [id.readUInt32BE(0), id.readUInt32BE(4)] as const
    const another = new ScopeSeal({ random: systemRandom }, red.scope, systemRandom.bytes(32))
    assert.equal(opens(another, sealed, page, PAGES, prefix), false)
    assert.ok(page.every((byte) => byte === 0), 'nothing of what cannot be opened comes out')
    assert.equal(opens(red, sealed, page, PAGES, prefix), true)
    assert.ok(page.equals(pageOf(0)))
    assert.ok(filesOf(path).every((file) => !file.includes(Buffer.from(salt))))
  })

  it('drops what a retired key had, at once, and cannot open a copy of it any more', async () => {
    const scopes = scopesOf('blue')
    const path = nextPath()
    const store = madeStore(path, { scopes })
    await store.start()
    const old = hasherOf(scopes, 'blue')
    await store.put(pagesOf(numbers(PAGES), old), 'head')
    scopes.add(madeEpoch(2))
    scopes.use(madeEpoch(2).id)
    const used = hasherOf(scopes, 'blue')
    await store.put(pagesOf(numbers(PAGES, 50), used), 'head')
    assert.deepEqual(await had(store, numbers(PAGES), old), numbers(PAGES), 'as long as the epoch lives')
    const copy = ['pages.slab', 'pages.index'].map((name) => [name, readFileSync(join(path, name))] as const)

    scopes.retire(madeEpoch(1).id)
    assert.deepEqual(await had(store, numbers(PAGES), old), [])
    const id = pagesOf([0], old).ids as Buffer
    assert.equal(store.has(id.readUInt32BE(0), id.readUInt32BE(4), 64), false)
    await dropped(store, PAGES)
    assert.deepEqual(await store.put(pagesOf(numbers(PAGES), old), 'head'), { stored: 0, known: 0, refused: PAGES })
    assert.deepEqual(await had(store, numbers(PAGES, 50), used), numbers(PAGES, 50))
    assert.equal(store.damagedPages, 0)
    await store.stop()
    const index = readFileSync(join(path, 'pages.index'))
    assert.ok(index.subarray(HEAD_BYTES, HEAD_BYTES + PAGES * RECORD_BYTES).every((byte) => byte === 0))

    for (const [name, file] of copy) writeFileSync(join(path, name), file)
    const later = await opened(path, scopes)
    assert.deepEqual([later.store.pages, later.store.damagedPages, later.warnings.length], [PAGES, 0, 1])
    assert.deepEqual(await had(later.store, numbers(PAGES, 50), used), numbers(PAGES, 50))
    await later.store.stop()
  })

  it('counts no page as damaged that is read while its key is retired', async () => {
    const scopes = scopesOf('blue')
    const store = madeStore(nextPath(), { scopes, slots: 2000 })
    await store.start()
    const old = hasherOf(scopes, 'blue')
    await store.put(pagesOf(numbers(1000), old), 'departed')
    scopes.add(madeEpoch(2))
    scopes.use(madeEpoch(2).id)
    const reads = [had(store, numbers(1000), old), had(store, numbers(1000).toReversed(), old)]
    const putting = store.put(pagesOf(numbers(500, 1000), old), 'departed')
    scopes.retire(madeEpoch(1).id)
    await Promise.all(reads)
    await putting
    await dropped(store, 0)
    assert.equal(store.damagedPages, 0)
    await store.stop()
  })

  it('of the version whose pages lay open is emptied, whatever became of its head', async () => {
    for (const isWhole of [true, false]) {
      const path = nextPath()
      const empty = madeStore(path)
      await empty.start()
      await empty.stop()
      const head = Buffer.alloc(HEAD_BYTES + RECORD_BYTES)
      if (isWhole) head.write('pagestor', 'latin1')
      head.writeUInt32LE(1, 8)
      writeFileSync(join(path, 'pages.index'), head)
      writeFileSync(join(path, 'pages.slab'), pageOf(1))
      const { store, warnings } = await opened(path, madeScopes())
      assert.deepEqual([store.pages, store.damagedPages, warnings.length], [0, 0, 1])
      assert.match(warnings[0]!, /another version or damaged, and is emptied/)
      assert.deepEqual([statSync(join(path, 'pages.slab')).size, store.bytes], [0, HEAD_BYTES])
      await store.stop()
    }
    const path = nextPath()
    const store = madeStore(path)
    await store.start()
    await store.stop()
    writeFileSync(join(path, 'pages.index'), '')
    writeFileSync(join(path, 'pages.slab'), pageOf(1))
    await store.start()
    assert.equal(statSync(join(path, 'pages.slab')).size, 0, 'nor does a slab stay that has lost its index')
    await store.stop()
  })
})

describe('the seal of a scope', () => {
  const { oldest } = madeScopes()
  const salt = new Uint8Array(32).fill(1)

  it('takes another run each time it is made, and opens what earlier ones sealed', () => {
    const page = pageOf(1)
    const runs = numbers(300).map(() =>
      sealedFor(new ScopeSeal({ random: systemRandom }, oldest, salt), page, 4, [5, 6]))
    assert.ok(new Set(runs.map((sealed) => sealed.readUInt32LE(0))).size > 290)
    const seal = new ScopeSeal({ random: systemRandom }, oldest, salt)
    for (const sealed of [...runs, ...runs]) {
      const into = Buffer.alloc(PAGE_BYTES)
      assert.ok(opens(seal, sealed, into, 4, [5, 6]) && into.equals(page))
      const others: [number, [number, number]][] = [[5, [5, 6]], [4, [6, 6]], [4, [5, 5]]]
      for (const [slot, prefix] of others) assert.equal(opens(seal, sealed, into, slot, prefix), false)
    }
  })

  it('has a name that tells nothing of the scope without its key', () => {
    const names = [salt, new Uint8Array(32)].flatMap((each) => ['shared', 'blue'].map((tenant) =>
      new ScopeSeal({ random: systemRandom }, scopesOf('blue').find({ tenant, epoch: madeEpoch().id })!, each).name))
    assert.equal(new Set(names.map((name) => Buffer.from(name).toString('hex'))).size, 4)
    assert.ok(names.every(({ length }) => length === ID_BYTES))
  })
})
