import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'

import { PAGE_BYTES } from '../page/index.ts'
import { PagemeshError } from '../runtime/errors.ts'
import type { Log } from '../runtime/log.ts'
import { PlacedFile } from './files.ts'
import {
  encodeHead, HEAD_BYTES, isFreeRecord, isWholeRecord, judgeHead, RECORD_BYTES, RECORD_WORDS, recordHigh, recordKind,
  recordLow, recordTime, seedOf,
} from './format.ts'
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
  /** Records that fail their check: each was a page. */
  damagedPages: number
}

export interface OpenInit {
  directory: string
  /** Identifies the key of the ids. */
  mark: Uint8Array
  slotsMax: number
}

/** Opens the files in a directory, which must be locked. Throws PagemeshError `store-unusable`. */
export async function openStore(components: { log: Log }, init: OpenInit): Promise<OpenStore> {
  const files: PlacedFile[] = []
  try {
    const open = async (name: string): Promise<PlacedFile> => {
      const file = await PlacedFile.open(join(init.directory, name))
      files.push(file)
      return file
    }
    const slab = await open(FILE_NAMES.slab)
    const index = await open(FILE_NAMES.index)
    await prepare(components.log, slab, index, init)
    return await load(slab, index, init)
  } catch (cause) {
    // Nothing was written, so that a close loses nothing; the error thrown below tells more.
    for (const file of files) await file.close().catch(() => undefined)
    throw unusable(init.directory, cause)
  }
}

/** Creates the directory of a store. Pages are memory of guests: no other user may read it. */
export async function makeDirectory(directory: string): Promise<void> {
  try {
    await mkdir(directory, { recursive: true, mode: 0o700 })
  } catch (cause) {
    throw unusable(directory, cause)
  }
}

/** Clears a store that is not ours, and truncates one that exceeds its bound. */
async function prepare(log: Log, slab: PlacedFile, index: PlacedFile, init: OpenInit): Promise<void> {
  const { directory, mark, slotsMax } = init
  const head = Buffer.alloc(HEAD_BYTES)
  const verdict = judgeHead(head.subarray(0, await index.read(head, 0, HEAD_BYTES, 0)), mark)
  if (verdict === 'other-key' || verdict === 'other-version') {
    log.warn('the page store has another key, version or list of tenants, and is emptied', {
      path: directory, reason: verdict,
    })
    await index.truncate(0)
    await slab.truncate(0)
  }
  const isNew = await index.size() === 0
  if (verdict === 'damaged' && !isNew) log.warn('the head of the page store is damaged', { path: directory })
  if (verdict !== 'ours') {
    // A missing head, on a full disk, does as little harm as a damaged one.
    await index.write(encodeHead(mark), 0, HEAD_BYTES, 0)
      .catch((error: unknown) => log.warn('the head of the page store cannot be written', { error: String(error) }))
  }
  const slabMax = slotsMax * PAGE_BYTES
  const indexMax = HEAD_BYTES + slotsMax * RECORD_BYTES
  if (await slab.size() <= slabMax && await index.size() <= indexMax) return
  log.warn('the page store is larger than its bound, and is truncated', { path: directory, slots: slotsMax })
  if (await slab.size() > slabMax) await slab.truncate(slabMax)
  if (await index.size() > indexMax) await index.truncate(indexMax)
}

/** Reads the index and takes each record that passes its check; all other slots are free. */
async function load(slab: PlacedFile, index: PlacedFile, { mark, slotsMax }: OpenInit): Promise<OpenStore> {
  const slots = new Slots(slotsMax)
  const table = new SlotTable(slots)
  const slabSlots = Math.floor(await slab.size() / PAGE_BYTES)
  const records = Math.max(0, Math.ceil((await index.size() - HEAD_BYTES) / RECORD_BYTES))
  slots.setCount(Math.min(slotsMax, Math.max(records, slabSlots)))
  const words = new Uint32Array(PIECE_RECORDS * RECORD_WORDS)
  const bytes = new Uint8Array(words.buffer)
  let damagedPages = 0
  for (let first = 0; first < records; first += PIECE_RECORDS) {
    const wanted = Math.min(PIECE_RECORDS, records - first) * RECORD_BYTES
    bytes.fill(0, await index.read(bytes, 0, wanted, HEAD_BYTES + first * RECORD_BYTES), wanted)
    damagedPages += loadRecords(words, wanted / RECORD_BYTES, first, { slots, table, slabSlots, seed: seedOf(mark) })
  }
  return { slab, index, slots, table, damagedPages }
}

interface Loading {
  slots: Slots
  table: SlotTable
  /** Length of the slab in slots. */
  slabSlots: number
  seed: number
}

/** Takes the pages of `count` records, the first of which is slot `first`'s; returns how many are damaged. */
export function loadRecords(words: Uint32Array, count: number, first: number, loading: Loading): number {
  const { slots, table, slabSlots, seed } = loading
  let damagedPages = 0
  for (let record = 0; record < count; record++) {
    const at = record * RECORD_WORDS
    const slot = first + record
    if (isFreeRecord(words, at)) continue
    const kind = recordKind(words, at)
    if (slot >= slabSlots || !isWholeRecord(words, at, slot, seed) || !holdsPage(kind)) {
      damagedPages += 1
      continue
    }
    slots.fill(slot, recordHigh(words, at), recordLow(words, at), kind, recordTime(words, at))
    // Two slots with the same page: after a power loss an older record may remain. One is enough.
    if (!table.add(slot)) slots.setState(slot, SLOT.free)
  }
  return damagedPages
}

function unusable(directory: string, cause: unknown): PagemeshError {
  if (cause instanceof PagemeshError) return cause
  return new PagemeshError('store-unusable', `The page store in ${directory} cannot be opened.`, {
    fault: 'host', phase: 'start', data: { path: directory }, cause,
    advice: 'Check that the directory may be written to and that its disk works, or set another `store.path`.',
  })
}
