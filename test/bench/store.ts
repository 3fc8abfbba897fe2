/**
 * The page store: memory per page and opening time with millions of pages, and rates of puts and gets relative to plain
 * writes and reads of the same bytes. Pages put are hashed and sealed, pages read are opened and hashed, so hashing
 * alone is measured as well.
 */
import { mkdtempSync, rmSync, truncateSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { ID_BYTES, PAGE_BYTES, PageBatch } from '../../src/page/index.ts'
import { systemClock } from '../../src/runtime/clock.ts'
import { silentLog } from '../../src/runtime/log.ts'
import { systemRandom } from '../../src/runtime/random.ts'
import {
  bytesOf, encodeHead, HEAD_BYTES, RECORD_BYTES, RECORD_WORDS, SLOT_BYTES, writeRecord,
} from '../../src/store/format.ts'
import { createStore, type Store } from '../../src/store/index.ts'
import { FILE_NAMES } from '../../src/store/opening.ts'
import { ScopeSeal } from '../../src/store/sealing.ts'
import { madeScopes } from '../support/madescopes.ts'
import { seededRandom, shuffled } from '../support/random.ts'
import { measureInTurn, type Side, type Spread } from './measure.ts'

const scopes = madeScopes()
const { hasher } = scopes.oldest
const { signal } = new AbortController()
/** Pages per batch of puts, gets, and plain writes and reads. */
const BATCH_PAGES = 256
/** Records made at once. */
const PIECE_RECORDS = 2 ** 16
const KIND_TAIL = 2

export interface StoreBenchInit {
  /** Pages of the large store, which has an index and room for pages, but none written. */
  storedPages: number
  /** Pages that are put and read. */
  pages: number
  rounds: number
  seed: number
}

export interface StoreOutcome {
  storedPages: number
  bytesPerPage: number
  openSeconds: Spread
  pages: number
  /** Relative to plain writes, and plain reads, of the same bytes in the same batches. */
  put: { pagesPerSecond: number; ratio: Spread }
  inOrder: { pagesPerSecond: number; ratio: Spread }
  anyOrder: { pagesPerSecond: number; ratio: Spread }
  /** Plain reading and hashing, without a store. */
  hashed: { pagesPerSecond: number; ratio: Spread }
}

export async function runStoreBench(init: StoreBenchInit): Promise<StoreOutcome> {
  const directory = mkdtempSync(join(tmpdir(), 'pagemesh-bench-store-'))
  try {
    const large = await openLarge(join(directory, 'large'), init)
    rmSync(join(directory, 'large'), { recursive: true })
    return { ...large, ...await runRates(directory, init), storedPages: init.storedPages, pages: init.pages }
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}

/** The part of the report for people. Pure. */
export function formatStore(outcome: StoreOutcome): string {
  const rate = ({ pagesPerSecond, ratio }: StoreOutcome['put'], what: string): string =>
    `${(pagesPerSecond / 1000).toFixed(0)} thousand pages a second, ${spread(ratio)} ${what}`
  const { bytesPerPage, openSeconds } = outcome
  return [
    `Page store, ${(outcome.storedPages / 1e6).toFixed(2)} million pages:`,
    `  memory           ${bytesPerPage.toFixed(1)} bytes a page`,
    `  opened in        ${openSeconds.median.toFixed(2)} s (${openSeconds.min.toFixed(2)} to ` +
      `${openSeconds.max.toFixed(2)}), its index in the system's cache`,
    `  put              ${rate(outcome.put, 'of plain writes')}`,
    `  had in order     ${rate(outcome.inOrder, 'of plain reads')}`,
    `  had in any order ${rate(outcome.anyOrder, 'of plain reads in order')}`,
    `  hashing alone    ${rate(outcome.hashed, 'of plain reads')}: what was read plainly, hashed`,
  ].join('\n')
}

function spread({ median, min, max }: Spread): string {
  return `${median.toFixed(2)}x (${min.toFixed(2)} to ${max.toFixed(2)})`
}

function made(path: string, slots: number): Store {
  const components = { clock: systemClock, log: silentLog, random: systemRandom, scopes }
  return createStore(components, { path, bytesMax: bytesOf(slots) })
}

/** Opens a store with this many pages repeatedly. Its slab is a hole: opening reads none of it. */
async function openLarge(
  path: string, { storedPages, rounds, seed }: StoreBenchInit,
): Promise<Pick<StoreOutcome, 'bytesPerPage' | 'openSeconds'>> {
  const empty = made(path, storedPages)
  await empty.start()
  await empty.stop()
  await writeIndex(join(path, FILE_NAMES.index), storedPages, seededRandom(seed))
  truncateSync(join(path, FILE_NAMES.slab), storedPages * SLOT_BYTES)
  let bytesPerPage = 0
  const [opened] = await measureInTurn([{
    name: 'open',
    bytes: 1,
    async prepare() {
      const store = made(path, storedPages)
      return {
        async run() {
          await store.start()
          if (store.pages !== storedPages || store.damagedPages > 0) throw new Error('the store lost pages')
          bytesPerPage = store.memoryBytes / store.pages
          await store.stop()
        },
      }
    },
  }], Math.min(rounds, 3))
  const { median, min, max } = opened!.bytesPerSecond
  return { bytesPerPage, openSeconds: { median: 1 / median, min: 1 / max, max: 1 / min } }
}

async function writeIndex(path: string, count: number, random: () => number): Promise<void> {
  await using file = await open(path, 'w')
  const seal = new ScopeSeal({ random: systemRandom }, scopes.oldest, new Uint8Array(32))
  await file.write(encodeHead([seal]))
  const words = new Uint32Array(PIECE_RECORDS * RECORD_WORDS)
  const id = Buffer.alloc(ID_BYTES)
  for (let first = 0; first < count; first += PIECE_RECORDS) {
    const records = Math.min(PIECE_RECORDS, count - first)
    for (let record = 0; record < records; record++) {
      for (let at = 0; at < ID_BYTES; at += 4) id.writeUInt32LE(Math.floor(random() * 2 ** 32), at)
      writeRecord(words, record * RECORD_WORDS, first + record, seal.word, id, 0, KIND_TAIL, first)
    }
    const bytes = new Uint8Array(words.buffer, 0, records * RECORD_BYTES)
    await file.write(bytes, 0, bytes.length, HEAD_BYTES + first * RECORD_BYTES)
  }
}

type Rates = Pick<StoreOutcome, 'put' | 'inOrder' | 'anyOrder' | 'hashed'>

async function runRates(directory: string, { pages, rounds, seed }: StoreBenchInit): Promise<Rates> {
  const batches = makeBatches(pages, seed)
  const bytes = pages * PAGE_BYTES
  const plainPath = join(directory, 'plain')
  const store = made(join(directory, 'store'), pages)
  const [, put] = await measureInTurn([
    {
      name: 'plain writes', bytes,
      async prepare() {
        rmSync(plainPath, { force: true })
        return { run: () => writePlainly(plainPath, batches) }
      },
    },
    {
      name: 'put', bytes,
      async prepare() {
        await store.stop()
        rmSync(join(directory, 'store'), { recursive: true, force: true })
        await store.start()
        return { run: () => putAll(store, batches) }
      },
    },
  ], rounds)
  const random = seededRandom(seed)
  const order = shuffled(Array.from({ length: pages }, (_, page) => page), random)
  const wanted = batches.map(({ ids }) => ids)
  const all = Buffer.concat(wanted)
  const mixed = wanted.map(({ length }, batch) => Buffer.concat(Array.from({ length: length / ID_BYTES }, (_, index) =>
    all.subarray(order[batch * BATCH_PAGES + index]! * ID_BYTES).subarray(0, ID_BYTES))))
  const side = (name: string, run: () => Promise<unknown>): Side => ({ name, bytes, prepare: async () => ({ run }) })
  const [, inOrder, anyOrder, hashed] = await measureInTurn([
    side('plain reads', () => readPlainly(plainPath, pages, () => undefined)),
    side('in order', () => getAll(store, wanted)),
    side('any order', () => getAll(store, mixed)),
    side('hashed', () => readPlainly(plainPath, pages, hashAll)),
  ], rounds)
  await store.stop()
  const rateOf = (side: typeof put): StoreOutcome['put'] =>
    ({ pagesPerSecond: side!.bytesPerSecond.median / PAGE_BYTES, ratio: side!.ratio })
  return { put: rateOf(put), inOrder: rateOf(inOrder), anyOrder: rateOf(anyOrder), hashed: rateOf(hashed) }
}

interface Batch {
  ids: Buffer
  bytes: Buffer
  count: number
}

/** Pages that differ in their first words. */
function makeBatches(pages: number, seed: number): Batch[] {
  const random = seededRandom(seed)
  const batches: Batch[] = []
  for (let first = 0; first < pages; first += BATCH_PAGES) {
    const count = Math.min(BATCH_PAGES, pages - first)
    const bytes = Buffer.from(new ArrayBuffer(count * PAGE_BYTES))
    for (let at = 0; at < bytes.length; at += 64) bytes.writeUInt32LE(Math.floor(random() * 2 ** 32), at)
    const ids = Buffer.alloc(count * ID_BYTES)
    hasher.hashPages(bytes, 0, count, ids, 0)
    batches.push({ ids, bytes, count })
  }
  return batches
}

async function putAll(store: Store, batches: readonly Batch[]): Promise<void> {
  for (const batch of batches) {
    const { stored } = await store.put(batch, 'tail')
    if (stored !== batch.count) throw new Error('the store refused pages')
  }
}

async function getAll(store: Store, wanted: readonly Buffer[]): Promise<void> {
  const room = Buffer.from(new ArrayBuffer(BATCH_PAGES * PAGE_BYTES))
  for (const ids of wanted) {
    const batch = new PageBatch(ids, room)
    await store.source.fill(batch, signal)
    if (batch.missing().length > 0) throw new Error('the store lost pages')
  }
}

async function writePlainly(path: string, batches: readonly Batch[]): Promise<void> {
  await using file = await open(path, 'w')
  for (const { bytes } of batches) await file.write(bytes)
}

async function readPlainly(path: string, pages: number, use: (bytes: Buffer) => void): Promise<void> {
  await using file = await open(path, 'r')
  const room = Buffer.from(new ArrayBuffer(BATCH_PAGES * PAGE_BYTES))
  for (let first = 0; first < pages; first += BATCH_PAGES) {
    const { bytesRead } = await file.read(room, 0, room.length, first * PAGE_BYTES)
    use(room.subarray(0, bytesRead))
  }
}

const hashedIds = Buffer.alloc(BATCH_PAGES * ID_BYTES)

function hashAll(bytes: Buffer): void {
  hasher.hashPages(bytes, 0, bytes.length / PAGE_BYTES, hashedIds, 0)
}
