import { findLayout, openProcessMemory, readStartTicks, type GuestMemory } from '../../src/guest/index.ts'
import { PAGE_BYTES } from '../../src/page/index.ts'
import { systemClock } from '../../src/runtime/clock.ts'
import { LabError } from '../laberror.ts'
import type { LabGuest } from './qemu.ts'

export interface MemoryComparison {
  /** Bytes of all compared blocks, absent pages included. */
  comparedBytes: number
  /** Blocks with differences; none: the memories are equal. */
  differences: BlockDifference[]
}

export interface BlockDifference {
  block: string
  /** Pages with at least one different byte. */
  pages: number
  /** Offset of the first different byte in the block. */
  firstOffset: number
}

/** Pages compared per step: 1 MiB. */
const STEP_PAGES = 256
/**
 * Both guests stand still, so that a true difference stays. A page that the kernel is moving (compaction) looks absent
 * for a moment, like zeros: different pages are read again, all of a block after one pause.
 */
const READS_AGAIN_MAX = 3
const READ_AGAIN_AFTER_MS = 100

/**
 * Compares all RAM blocks of two guests byte for byte; both should stand still. Absent pages count as zeros and are not
 * touched: reading a hole of a shared mapping would fill it. Throws LabError `lab-memory-not-found` if the guests'
 * blocks are not the same or cannot be found, but for those `without` which they are compared.
 */
export async function compareMemory(
  left: LabGuest, right: LabGuest, without: readonly string[] = [],
): Promise<MemoryComparison> {
  await using leftMemory = await openGuestMemory(left, without)
  await using rightMemory = await openGuestMemory(right, without)
  const comparison: MemoryComparison = { comparedBytes: 0, differences: [] }
  for (const [index, block] of leftMemory.blocks.entries()) {
    const rightIndex = rightMemory.blocks.findIndex((other) => other.name === block.name && other.bytes === block.bytes)
    if (rightIndex === -1 || leftMemory.blocks.length !== rightMemory.blocks.length) {
      throw notFound(right.name, `the other guest's block ${block.name} of ${block.bytes} bytes`)
    }
    const difference = await compareBlock(block, async (first, count) =>
      [await readStep(leftMemory, index, first, count), await readStep(rightMemory, rightIndex, first, count)])
    comparison.comparedBytes += block.bytes
    if (difference.pages > 0) comparison.differences.push(difference)
  }
  return comparison
}

/** `read` reads `count` pages from page `first` of both guests' block. */
async function compareBlock(
  block: { name: string; bytes: number }, read: (first: number, count: number) => Promise<[Buffer, Buffer]>,
): Promise<BlockDifference> {
  const pageCount = block.bytes / PAGE_BYTES
  let suspects = Array.from({ length: Math.ceil(pageCount / STEP_PAGES) }, (_, step) => step * STEP_PAGES)
  for (let again = 0; ; again++) {
    const difference: BlockDifference = { block: block.name, pages: 0, firstOffset: -1 }
    const differing: number[] = []
    for (const first of suspects) {
      const [left, right] = await read(first, Math.min(STEP_PAGES, pageCount - first))
      if (left.equals(right)) continue
      differing.push(first)
      addDifferences(difference, left, right, first * PAGE_BYTES)
    }
    if (differing.length === 0 || again === READS_AGAIN_MAX) return difference
    suspects = differing
    await systemClock.sleep(READ_AGAIN_AFTER_MS)
  }
}

/** A guest's memory, read-only, for `await using`. Throws LabError `lab-memory-not-found`. */
export async function openGuestMemory(
  guest: LabGuest, without: readonly string[] = [],
): Promise<GuestMemory & AsyncDisposable> {
  const startTicks = readStartTicks(guest.pid)
  if (startTicks === undefined) throw notFound(guest.name, 'its process')
  const { layout, unmapped } = await findLayout(guest.name, guest.qmp, { pid: guest.pid, startTicks })
  const missing = unmapped.filter((name) => !without.includes(name))
  if (missing.length > 0) throw notFound(guest.name, `its blocks ${missing.join(', ')}`)
  const blocks = layout.blocks.filter(({ name }) => !without.includes(name))
  const memory = openProcessMemory({ ...layout, blocks })
  return Object.assign(memory, { [Symbol.asyncDispose]: () => memory.close() })
}

/** `count` pages of a block, absent ones as zeros. */
async function readStep(memory: GuestMemory, block: number, first: number, count: number): Promise<Buffer> {
  const bytes = Buffer.alloc(count * PAGE_BYTES)
  for (const run of await residentRuns(memory, block, first, count)) {
    const start = (run.first - first) * PAGE_BYTES
    await memory.read(block, run.first, run.count, bytes.subarray(start, start + run.count * PAGE_BYTES))
  }
  return bytes
}

/** Runs of resident pages among `count` pages from page `first` of a block. */
export async function residentRuns(
  memory: GuestMemory, block: number, first: number, count: number,
): Promise<{ first: number; count: number }[]> {
  const resident = new Uint8Array(count)
  await memory.resident(block, first, count, resident)
  const runs: { first: number; count: number }[] = []
  for (let page = 0; page < count; page++) {
    if (resident[page] === 0) continue
    const last = runs.at(-1)
    if (last !== undefined && last.first + last.count === first + page) last.count += 1
    else runs.push({ first: first + page, count: 1 })
  }
  return runs
}

function addDifferences(difference: BlockDifference, left: Buffer, right: Buffer, blockOffset: number): void {
  for (let offset = 0; offset < left.length; offset += PAGE_BYTES) {
    const end = offset + PAGE_BYTES
    if (left.compare(right, offset, end, offset, end) === 0) continue
    if (difference.pages === 0) {
      const within = left.subarray(offset, end).findIndex((byte, index) => byte !== right[offset + index])
      difference.firstOffset = blockOffset + offset + within
    }
    difference.pages += 1
  }
}

function notFound(guestName: string, what: string): LabError {
  return new LabError('lab-memory-not-found', `Guest ${guestName} has not what the comparison needs: ${what}.`, {
    advice: 'Compare guests of one machine and size, while their processes live.',
  })
}
