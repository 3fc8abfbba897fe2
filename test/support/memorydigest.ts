import { createHash } from 'node:crypto'

import { PAGE_BYTES } from '../../src/page/index.ts'
import type { LabGuest } from '../../testnet/index.ts'
import { openGuestMemory, residentRuns } from '../../testnet/machine/memory.ts'

const STEP_PAGES = 256
const ZERO = Buffer.alloc(PAGE_BYTES)

/** A digest of all that is not zero in the memory of a guest that stands still; absent pages are zeros. */
export async function memoryDigest(guest: LabGuest): Promise<string> {
  await using memory = await openGuestMemory(guest)
  const hash = createHash('sha1')
  const bytes = Buffer.alloc(STEP_PAGES * PAGE_BYTES)
  const blocks = memory.blocks.map((block, index) => ({ ...block, index }))
  // QEMUs that were told different things may list their blocks in another order.
  for (const block of blocks.sort((left, right) => left.name < right.name ? -1 : 1)) {
    hash.update(`${block.name} ${block.bytes}`)
    const pageCount = block.bytes / PAGE_BYTES
    for (let first = 0; first < pageCount; first += STEP_PAGES) {
      for (const run of await residentRuns(memory, block.index, first, Math.min(STEP_PAGES, pageCount - first))) {
        await memory.read(block.index, run.first, run.count, bytes.subarray(0, run.count * PAGE_BYTES))
        for (let page = 0; page < run.count; page++) {
          const content = bytes.subarray(page * PAGE_BYTES, (page + 1) * PAGE_BYTES)
          if (!content.equals(ZERO)) hash.update(`${run.first + page}`).update(content)
        }
      }
    }
  }
  return hash.digest('hex')
}
