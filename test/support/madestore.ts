/** Stores in directories of their own, and pages to put into them: page n is the same everywhere. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { PAGE_BYTES, PageBatch, type PageHasher, type PageScopes, type Prefixes } from '../../src/page/index.ts'
import { systemClock, type Clock } from '../../src/runtime/clock.ts'
import { silentLog, type Log } from '../../src/runtime/log.ts'
import { systemRandom } from '../../src/runtime/random.ts'
import { bytesOf } from '../../src/store/format.ts'
import { createStore, type PageKind, type PagesToKeep, type Store } from '../../src/store/index.ts'
import { SlotRun, type ScopeSeal } from '../../src/store/sealing.ts'
import { madeIds } from './madeids.ts'
import { madeScopes } from './madescopes.ts'

/** Those of a host with one tenant. */
export const scopes = madeScopes(new Uint8Array(32).fill(5))
export const { hasher } = scopes.oldest
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
  scopes?: PageScopes
  log?: Log
  clock?: Clock
}

export function madeStore(path: string, settings: StoreSettings = {}): Store {
  const { clock = systemClock, log = silentLog, slots = 256, bytesMax = bytesOf(slots) } = settings
  return createStore({ clock, log, random: systemRandom, scopes: settings.scopes ?? scopes }, { path, bytesMax })
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

/** Pages, with ids by the usual key or another one. */
export function pagesOf(numbers: readonly number[], by: PageHasher = hasher): PagesToKeep {
  const ids = by === hasher ? idOf : madeIds(by, pageOf).idOf
  return { ids: Buffer.concat(numbers.map(ids)), bytes: Buffer.concat(numbers.map(pageOf)), count: numbers.length }
}

/** A page sealed for a slot and a prefix. */
export function sealedFor(seal: ScopeSeal, page: Buffer, slot: number, prefix: readonly [number, number]): Buffer {
  const run = new SlotRun(1)
  run.begin(page)
  run.add(0, 0, 0, slot, ...prefix)
  seal.seal(run, 0, 1)
  return run.sealed
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
