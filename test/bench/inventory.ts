/**
 * The invented tables of one handoff of a large guest: what the outgoing end keeps per page besides its census, and how
 * long the exchange of the census takes at both ends, and holds up what else the agent does.
 */
import { answerPages, decodePrefixSet, Inventory, lastFirst, SortedTable } from '../../src/page/index.ts'
import { seededRandom } from '../support/random.ts'
import { heldBytes } from './measure.ts'

export interface InventoryInit {
  /** Distinct pages of the guest. */
  inventoryPages: number
  seed: number
}

/** Work on all pages, ms: listing and encoding, decoding, answering, taking and ordering them. */
const STEPS = ['list', 'decode', 'answer', 'take', 'order', 'sort'] as const

export interface InventoryOutcome {
  pages: number
  /** Memory for the handoff, bytes per page. */
  bytesPerPage: number
  /** Memory of its census, bytes per page. */
  tableBytesPerPage: number
  /** The encoded list, bytes per page. */
  wireBytesPerPage: number
  ms: Record<typeof STEPS[number], number>
  /** Longest time without a turn for others, ms. */
  heldMs: Record<typeof STEPS[number], number>
}

/** The destination has every second page. */
export async function runInventoryBench({ inventoryPages, seed }: InventoryInit): Promise<InventoryOutcome> {
  const table = tableOf(inventoryPages, seed)
  const [ms, heldMs] = [noTimes(), noTimes()]
  const timed = async <T>(step: typeof STEPS[number], work: () => Promise<T>): Promise<T> => {
    const hold = watchHold()
    const begunAt = performance.now()
    const result = await work()
    ms[step] = performance.now() - begunAt
    heldMs[step] = hold.longestMs()
    return result
  }
  const before = await heldBytes()
  const inventory = new Inventory({ table, numberAt: (index) => table.valueAt(index) })
  const list = await timed('list', () => inventory.encode())
  const set = await timed('decode', () => decodePrefixSet(list))
  let number = 0
  const bitmap = await timed('answer', () => answerPages(set, () => number++ % 2 === 0))
  await timed('take', () => inventory.answer(bitmap))
  const order = await timed('order', () => inventory.order())
  await timed('sort', () => lastFirst(set.prefixes.length, bitmap, order))
  // The encoded list, and the other end's results, are not this end's memory.
  const others = list.buffer.byteLength + set.prefixes.byteLength + order.buffer.byteLength
  return {
    pages: table.size,
    bytesPerPage: (await heldBytes() - before - others) / inventory.pageCount,
    tableBytesPerPage: table.bytes / table.size,
    wireBytesPerPage: list.length / table.size, ms, heldMs,
  }
}

/** The part of the report for people. Pure. */
export function formatInventory(outcome: InventoryOutcome): string {
  const { pages, bytesPerPage, tableBytesPerPage, wireBytesPerPage, ms, heldMs } = outcome
  return [
    `Tables of a handoff, ${(pages / 1e6).toFixed(2)} million pages:`,
    `  memory           ${bytesPerPage.toFixed(1)} bytes a page, beside ${tableBytesPerPage.toFixed(1)} of its census`,
    `  on the wire      ${wireBytesPerPage.toFixed(2)} bytes a page`,
    `  time             ${STEPS.map((step) => `${step} ${ms[step].toFixed(0)} ms`).join(', ')}`,
    `  others waited    ${Math.max(...STEPS.map((step) => heldMs[step])).toFixed(0)} ms at most`,
  ].join('\n')
}

function noTimes(): Record<typeof STEPS[number], number> {
  return { list: 0, decode: 0, answer: 0, take: 0, order: 0, sort: 0 }
}

/** Watches how long this thread goes without a turn for others. */
function watchHold(): { longestMs(): number } {
  let [longest, last] = [0, performance.now()]
  const look = (): void => {
    const now = performance.now()
    longest = Math.max(longest, now - last)
    last = now
  }
  let next = setImmediate(function tick() {
    look()
    next = setImmediate(tick)
  })
  return {
    longestMs() {
      clearImmediate(next)
      look()
      return longest
    },
  }
}

/** Pages with evenly spread prefixes, in random order in memory. */
function tableOf(pages: number, seed: number): SortedTable {
  const random = seededRandom(seed)
  const high = new Uint32Array(pages)
  const low = new Uint32Array(pages)
  const values = new Uint32Array(pages)
  for (let index = 0; index < pages; index++) {
    high[index] = Math.floor((index + random()) / pages * 2 ** 32)
    low[index] = random() * 2 ** 32
    values[index] = Math.floor(random() * pages)
  }
  // Within an equal high half, the low half must rise as well.
  for (let index = 1; index < pages; index++) {
    if (high[index] === high[index - 1] && low[index]! <= low[index - 1]!) low[index] = low[index - 1]! + 1
  }
  return SortedTable.fromRising({ high, low, values })
}
