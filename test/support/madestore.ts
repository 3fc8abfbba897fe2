/** Stores in directories of their own, and pages to put into them: page n is the same everywhere. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import {
  createPageHasher, PAGE_BYTES, PageBatch, type PageHasher, type Prefixes,
} from '../../src/page/index.ts'
import { systemClock, type Clock } from '../../src/runtime/clock.ts'
import { silentLog, type Log } from '../../src/runtime/log.ts'
import { bytesOf } from '../../src/store/format.ts'
import { createStore, type PageKind, type PagesToKeep, type Store } from '../../src/store/index.ts'
import { madeIds } from './madeids.ts'

export const hasher = createPageHasher(new Uint8Array(32).fill(5))
export const { signal } = new AbortController()

/** A directory that is removed when the tests of a file are done. */
export function madeDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), 'pagemesh-store-'))
  after(() => rmSync(directory, { recursive: true, force: true }))
  return directory
}

export interface StoreSettings {
  slots?: number
  bytesMax?: number
  hasher?: PageHasher
  tenants?: string[]
  log?: Log
  clock?: Clock
}

export function madeStore(path: string, settings: StoreSettings = {}): Store {
  const own = settings.hasher ?? hasher
  return createStore(
    { clock: settings.clock ?? systemClock, log: settings.log ?? silentLog, hasher: own, marker: own },
    { path, bytesMax: settings.bytesMax ?? bytesOf(settings.slots ?? 256), tenants: settings.tenants ?? [] },
  )
}

/** A clock whose wall and whose own time go on only when told to. */
export function madeClock(): Clock & { pass(seconds: number): void } {
  let seconds = 1_700_000_000
  return {
    ...systemClock,
    now: () => seconds * 1000,
    wallTime: () => seconds * 1000,
    pass: (more) => { seconds += more },
  }
}

/** A clock by which everything takes long: pages are then read as from a slow disk. */
export function slowClock(): Clock {
  let milliseconds = 0
  return { ...systemClock, now: () => milliseconds += 1000 }
}

/** A log that keeps its warnings. */
export function madeLog(): Log & { warnings: string[] } {
  const warnings: string[] = []
  return { ...silentLog, warn: (message) => { warnings.push(message) }, warnings }
}

export function pageOf(number: number): Buffer {
  const page = Buffer.alloc(PAGE_BYTES, `page ${number} `)
  page.writeUInt32LE(number, PAGE_BYTES - 4)
  return page
}

export const { idOf, prefixOf } = madeIds(hasher, pageOf)

export function pagesOf(numbers: readonly number[]): PagesToKeep {
  return { ids: Buffer.concat(numbers.map(idOf)), bytes: Buffer.concat(numbers.map(pageOf)), count: numbers.length }
}

export function prefixesOf(numbers: readonly number[]): Prefixes {
  const prefixes = numbers.map(prefixOf)
  return {
    high: Uint32Array.from(prefixes, ([high]) => high), low: Uint32Array.from(prefixes, ([, low]) => low),
    count: numbers.length,
  }
}

export function numbers(count: number, from = 0): number[] {
  return Array.from({ length: count }, (_, index) => from + index)
}

/** Asks for pages: which of them came, and which of these are not what was asked for. */
export async function ask(store: Store, wanted: readonly number[]): Promise<{ filled: number[]; wrong: number[] }> {
  const batch = new PageBatch(Buffer.concat(wanted.map(idOf)))
  await store.source.fill(batch, signal)
  const filled = wanted.filter((_, index) => batch.isFilled(index))
  const wrong = wanted.filter((number, index) => batch.isFilled(index) &&
    !batch.bytes.subarray(index * PAGE_BYTES, (index + 1) * PAGE_BYTES).equals(pageOf(number)))
  return { filled, wrong }
}

/** What the store says that it keeps, by the hex digits of the prefix. */
export function keptBy(store: Store): Map<string, { kind: PageKind; time: number }> {
  const kept = new Map<string, { kind: PageKind; time: number }>()
  store.forEach((high, low, kind, time) => kept.set(keyOf(high, low), { kind, time }))
  return kept
}

export function keyOf(high: number, low: number): string {
  return high.toString(16).padStart(8, '0') + low.toString(16).padStart(8, '0')
}
