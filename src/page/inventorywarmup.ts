import { assert } from '../runtime/assert.ts'
import type { Random } from '../runtime/random.ts'
import { nextTurn } from '../runtime/turn.ts'
import { answerPages, Inventory, lastFirst } from './inventory.ts'
import { PageColumns } from './pagecolumns.ts'
import { decodePrefixSet } from './prefixset.ts'
import { SortedTable } from './sortedtable.ts'

/** Enough for V8 to compile the exchange: some tens of milliseconds of work a round. */
const PAGES = 20_000
const ROUNDS = 3
const LACKING_EVERY = 4

/**
 * Runs the census exchange for made-up guests, so that V8 has compiled it before the first real handoff: compiling took
 * a sixth of a second before the first byte. Yields between rounds.
 */
export async function warmUpInventory({ random }: { random: Random }): Promise<void> {
  for (let round = 0; round < ROUNDS; round++) {
    await exchange(random.bytes(PAGES * 8))
    await nextTurn()
  }
}

async function exchange(prefixes: Uint8Array): Promise<void> {
  const bytes = Buffer.from(prefixes.buffer, prefixes.byteOffset, prefixes.length)
  const [listed, held] = [new PageColumns(PAGES), new PageColumns(PAGES)]
  for (let page = 0; page < PAGES; page++) {
    const [high, low] = [bytes.readUInt32BE(page * 8), bytes.readUInt32BE(page * 8 + 4)]
    listed.push(high, low, page)
    if (page % LACKING_EVERY !== 0) held.push(high, low, page)
  }
  const [source, destination] = [SortedTable.from(listed), SortedTable.from(held)]
  const inventory = new Inventory({ table: source, numberAt: (index) => source.valueAt(index) })
  const set = await decodePrefixSet(await inventory.encode())
  const bitmap = await answerPages(set, (high, low, bits) => destination.getByBits(high, low, bits) >= 0)
  await inventory.answer(bitmap)
  const lacking = await lastFirst(set.prefixes.length, bitmap, await inventory.order())
  assert(inventory.known.count + lacking.length >= set.prefixes.length, 'every page is known, or lacking')
}
