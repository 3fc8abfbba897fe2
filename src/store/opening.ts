import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'

import { bufferOver } from '../bytes/bufferover.ts'
import type { PageScopes } from '../page/index.ts'
import { PagemeshError } from '../runtime/errors.ts'
import type { Log } from '../runtime/log.ts'
import type { Random } from '../runtime/random.ts'
import { PlacedFile } from './files.ts'
import {
  decodeHead, encodeHead, HEAD_BYTES, isFreeRecord, isWholeRecord, RECORD_BYTES, RECORD_WORDS, recordHigh, recordKind,
  recordLow, recordScope, recordTime, SLOT_BYTES,
} from './format.ts'
import { nameOf, Seals } from './sealing.ts'
import { holdsPage, SLOT, Slots } from './slots.ts'
import { SlotTable } from './slottable.ts'

export const FILE_NAMES = { slab: 'pages.slab', index: 'pages.index' }

/** Records per read: a mebibyte. */
const PIECE_RECORDS = 32_768

/** An open store: its two files, and its tables. */
export interface OpenStore {
  slab: PlacedFile
  index: PlacedFile
  slots: Slots
  table: SlotTable
  seals: Seals
  /** Records that fail their check: each was a page. */
  damagedPages: number
}

export interface OpenComponents {
  log: Log
  random: Random
  scopes: PageScopes
}

export interface OpenInit {
  directory: string
  slotsMax: number
}

type Files = Pick<OpenStore, 'slab' | 'index'>

/** Opens the files in a directory, which must be locked. Throws PagemeshError `store-unusable`. */
export async function openStore(components: OpenComponents, init: OpenInit): Promise<OpenStore> {
  const files: PlacedFile[] = []
  try {
    const open = async (name: string): Promise<PlacedFile> => {
      const file = await PlacedFile.open(join(init.directory, name))
      files.push(file)
      return file
    }
    const slab = await open(FILE_NAMES.slab)
    const index = await open(FILE_NAMES.index)
    const seals = await prepare(components, { slab, index }, init)
    return await load(components, { slab, index }, seals, init)
  } catch (cause) {
    // Nothing was written, so that a close loses nothing; the error thrown below tells more.
    for (const file of files) await file.close().catch(() => undefined)
    throw unusable(init.directory, cause)
  }
}

/** Whether a slot holds a page that may be had: its scope lives. */
export function isKept({ slots, seals }: Pick<OpenStore, 'slots' | 'seals'>, slot: number): boolean {
  return holdsPage(slots.states[slot]!) && seals.isLive(slots.scopes[slot]!)
}

/** Creates the directory of a store. Pages are memory of guests: no other user may read it. */
export async function makeDirectory(directory: string): Promise<void> {
  try {
    await mkdir(directory, { recursive: true, mode: 0o700 })
  } catch (cause) {
    throw unusable(directory, cause)
  }
}

/** Clears a store that cannot be read, ends what is no live scope's, and truncates a store that exceeds its bound. */
async function prepare(components: OpenComponents, files: Files, init: OpenInit): Promise<Seals> {
  const { log } = components
  const { directory: path, slotsMax } = init
  const { slab, index } = files
  const seals = await liveSeals(components, files, path)
  const slabMax = slotsMax * SLOT_BYTES
  const indexMax = HEAD_BYTES + slotsMax * RECORD_BYTES
  if (await slab.size() <= slabMax && await index.size() <= indexMax) return seals
  log.warn('the page store is larger than its bound, and is truncated', { path, slots: slotsMax })
  if (await slab.size() > slabMax) await slab.truncate(slabMax)
  if (await index.size() > indexMax) await index.truncate(indexMax)
  return seals
}

/** The live scopes that the head has. Any others end here: their salts are overwritten. */
async function liveSeals({ log, random, scopes }: OpenComponents, files: Files, path: string): Promise<Seals> {
  const { slab, index } = files
  const seals = new Seals({ random })
  const head = Buffer.alloc(HEAD_BYTES)
  const known = decodeHead(head.subarray(0, await index.read(head, 0, HEAD_BYTES, 0)))
  const isNew = await index.size() === 0
  for (const { name, salt } of Array.isArray(known) ? known : []) {
    const scope = scopes.all().find((live) => bufferOver(nameOf(live, salt)).equals(name))
    if (scope !== undefined) seals.add(scope, salt)
  }
  const kept = seals.live.length
  if (Array.isArray(known) && kept === known.length) return seals
  if (Array.isArray(known)) {
    log.warn('the page store drops the pages of tenants or keys that are gone', { path, scopes: known.length - kept })
  } else if (!isNew) {
    log.warn('the page store is of another version or damaged, and is emptied', { path, reason: known })
  }
  await (Array.isArray(known) ? overwriteHead : writeHead)(index, seals)
    // Without it, whatever is stored now is lost when the store is opened next.
    .catch((error: unknown) => log.warn('the head of the page store cannot be written', { error: String(error) }))
  if (kept > 0) return seals
  await index.truncate(Math.min(HEAD_BYTES, await index.size()))
  await slab.truncate(0)
  return seals
}

/** Writes the scopes that live over those that the head has. */
export async function writeHead(index: PlacedFile, seals: Seals): Promise<void> {
  await index.write(encodeHead(seals.live), 0, HEAD_BYTES, 0)
}

/** The same where a scope has ended: its salt is no longer on the disk when this resolves. */
export async function overwriteHead(index: PlacedFile, seals: Seals): Promise<void> {
  await writeHead(index, seals)
  await index.sync()
}

/** Reads the index and takes each record that passes its check; all other slots are free. */
async function load(
  { log }: OpenComponents, { slab, index }: Files, seals: Seals, { slotsMax }: OpenInit,
): Promise<OpenStore> {
  const slots = new Slots(slotsMax)
  const table = new SlotTable(slots)
  const slabSlots = Math.floor(await slab.size() / SLOT_BYTES)
  const records = Math.max(0, Math.ceil((await index.size() - HEAD_BYTES) / RECORD_BYTES))
  slots.setCount(Math.min(slotsMax, Math.max(records, slabSlots)))
  const words = new Uint32Array(PIECE_RECORDS * RECORD_WORDS)
  const bytes = new Uint8Array(words.buffer)
  let damagedPages = 0
  for (let first = 0; first < records; first += PIECE_RECORDS) {
    const wanted = Math.min(PIECE_RECORDS, records - first) * RECORD_BYTES
    const at = HEAD_BYTES + first * RECORD_BYTES
    bytes.fill(0, await index.read(bytes, 0, wanted, at), wanted)
    const loaded = loadRecords(words, wanted / RECORD_BYTES, first, { slots, table, slabSlots, seals })
    damagedPages += loaded.damaged
    if (loaded.ended === 0) continue
    await index.write(bytes, 0, wanted, at)
      .catch((error: unknown) => log.warn('records of the page store could not be cleared', { error: String(error) }))
  }
  return { slab, index, slots, table, seals, damagedPages }
}

interface Loading {
  slots: Slots
  table: SlotTable
  seals: Pick<Seals, 'named'>
  /** Length of the slab in slots. */
  slabSlots: number
}

/**
 * Takes the pages of `count` records, the first of which is slot `first`'s. Clears those of scopes that have ended.
 * Returns how many these are, and how many are damaged.
 */
export function loadRecords(
  words: Uint32Array, count: number, first: number, { slots, table, seals, slabSlots }: Loading,
): { damaged: number; ended: number } {
  let damaged = 0
  let ended = 0
  for (let record = 0; record < count; record++) {
    const at = record * RECORD_WORDS
    const slot = first + record
    if (isFreeRecord(words, at)) continue
    const kind = recordKind(words, at)
    if (!isWholeRecord(words, at, slot) || !holdsPage(kind)) {
      damaged += 1
      continue
    }
    const scope = seals.named(recordScope(words, at))
    if (scope < 0) {
      words.fill(0, at, at + RECORD_WORDS)
      ended += 1
      continue
    }
    if (slot >= slabSlots) {
      damaged += 1
      continue
    }
    slots.fill(slot, recordHigh(words, at), recordLow(words, at), kind, scope, recordTime(words, at))
    // Two slots with the same page: after a power loss an older record may remain. One is enough.
    if (!table.add(slot)) slots.setState(slot, SLOT.free)
  }
  return { damaged, ended }
}

function unusable(directory: string, cause: unknown): PagemeshError {
  if (cause instanceof PagemeshError) return cause
  return new PagemeshError('store-unusable', `The page store in ${directory} cannot be opened.`, {
    fault: 'host', phase: 'start', data: { path: directory }, cause,
    advice: 'Check that the directory may be written to and that its disk works, or set another `store.path`.',
  })
}
